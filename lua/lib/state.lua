-- state: a key's value in a form that any language can read: {key, form, expiry, {element, ...}}.
-- Streams and module types have no such form and travel as the server's own DUMP.
local lengths = {string = 'STRLEN', list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD'}
local function form_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return 'gone' end
  return lengths[kind] and kind or 'dump'
end
local function elements_of(key, form)
  if form == 'string' then return {redis.call('GET', key)} end
  if form == 'list' then return redis.call('LRANGE', key, 0, -1) end
  if form == 'hash' then return redis.call('HGETALL', key) end
  if form == 'set' then return redis.call('SMEMBERS', key) end
  if form == 'zset' then return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
  if form == 'dump' then return {redis.call('DUMP', key)} end
  return {}
end
-- The elements and their bytes, or nil and the key's length where that is more than limit bytes, or more than `most` elements.
local function elements_within(key, form, limit, most)
  local length = lengths[form] and redis.call(lengths[form], key) or 0
  if length > limit or form ~= 'string' and length > most then return nil, length end
  local elements, bytes = elements_of(key, form), 0
  for i = 1, #elements do bytes = bytes + #elements[i] end
  if bytes > limit and lengths[form] then return nil, length end
  return elements, bytes
end
