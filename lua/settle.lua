-- settle: accept a history under a ballot, with the state that it produced where the node does not have it. With a state it tells who waits: PUBLISH.
-- USES    fence text rebuild wake
-- KEYS    1 record
-- ARGV    1 fence; 2 deadline ms; 3 ballot; 4 version; 5 digest; 6 mode (confirm, full, delta); 7 base digest (delta: the digest that the delta starts from);
--         8 remembered ops, as snapshot gave them; 9 dirty ('1': remember here that another node missed this settle); 10 multi ('1' or '0');
--         11 number of log entries; then the entries, as snapshot gave them; then the number of keys; then of each: name, form, expiry ms, number of elements, elements.
--         A confirmation ends with ARGV[9]
-- REPLY   {'SETTLED'} {'NACK', promised} {'NEEDS_STATE', version, digest} {'CONFLICT', digest} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}: nothing changed but with SETTLED
-- ERRORS  none of its own
local record = KEYS[1]
local ballot, version, digest, mode, base, ops, dirty = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local head = redis.call('HMGET', record, 'p', 'a', 'v', 'd')
local promised, accepted, local_version, local_digest = head[1] or '', head[2] or '', head[3] or '0', head[4] or ''
if ballot < promised then return {'NACK', promised} end -- I1
if ballot == accepted and ballot == promised and digest ~= local_digest then return {'CONFLICT', local_digest} end -- I3
if (mode == 'confirm' and local_digest ~= digest) or (mode == 'delta' and local_digest ~= base) then
  return {'NEEDS_STATE', local_version, local_digest}
end

-- Parse and check all of it before the first write.
local at, log, keys = 11, {}, {}
local function take()
  at = at + 1
  return ARGV[at - 1]
end
-- How many elements a form has: so many, or a multiple of so many.
local exactly, multiple = {string = 1, dump = 1, staged = 3, gone = 0}, {list = 1, set = 1, hash = 2, zset = 2, stream = 1}
local lengths = {string = 'STRLEN', list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD'}
if mode ~= 'confirm' then
  for i = 1, tonumber(take()) do log[i] = take() end
  for i = 1, tonumber(take()) do
    local key = {name = take(), form = take(), expiry = take(), count = tonumber(take())}
    key.first = at
    at = at + key.count
    local step = multiple[key.form]
    if exactly[key.form] ~= key.count and not (step and key.count > 0 and key.count % step == 0) or not tonumber(key.expiry) then
      return {'REFUSED', 'ERR a state of form ' .. key.form .. ' with ' .. key.count .. ' elements'}
    end
    keys[i] = key
    if key.form == 'staged' then
      local stage, form, length = ARGV[key.first], ARGV[key.first + 1], ARGV[key.first + 2]
      if redis.call('TYPE', stage).ok ~= form or as_text(redis.call(lengths[form], stage)) ~= length then
        return {'NEEDS_STATE', local_version, local_digest}
      end
    end
  end
end

if mode ~= 'confirm' and at ~= #ARGV + 1 then return {'REFUSED', 'ERR the arguments do not add up'} end
-- A server refuses the DUMP of a newer one (P28): try each under another name, before anything is replaced.
for i = 1, #keys do
  if keys[i].form == 'dump' or keys[i].form == 'stream' then
    keys[i].stage = 'anrcho_stage:' .. string.sub(record, 16) .. ':' .. i
    local refused
    if keys[i].form == 'stream' then refused = rebuild(keys[i].stage, keys[i].first)
    else refused = error_of(redis.pcall('RESTORE', keys[i].stage, 0, ARGV[keys[i].first], 'REPLACE')) end
    if refused then
      for j = 1, i do
        if keys[j].stage then redis.call('DEL', keys[j].stage) end
      end
      return {'REFUSED', refused}
    end
  end
end

local refused = error_of(redis.pcall('HSET', record, 'p', ballot, 'a', ballot, 's', version, 'v', version, 'd', digest))
if refused then return {'REFUSED', refused} end
if dirty == '1' then redis.call('HSET', 'anrcho_dirty', string.sub(record, 17, -2), ballot) end
if mode == 'confirm' then return {'SETTLED'} end

-- Values are rebuilt in slices, because unpack takes fewer than 8,000 arguments.
local function build(command, key)
  for from = key.first, key.first + key.count - 1, 6000 do
    redis.call(command, key.name, unpack(ARGV, from, math.min(from + 5999, key.first + key.count - 1)))
  end
end
local function store(key)
  redis.call('DEL', key.name)
  if key.form == 'string' then redis.call('SET', key.name, ARGV[key.first])
  elseif key.form == 'list' then build('RPUSH', key)
  elseif key.form == 'hash' then build('HSET', key)
  elseif key.form == 'set' then build('SADD', key)
  elseif key.stage then redis.call('RENAME', key.stage, key.name)
  elseif key.form == 'staged' then
    redis.call('RENAME', ARGV[key.first], key.name)
    redis.call('PERSIST', key.name)
  elseif key.form == 'zset' then
    for from = key.first, key.first + key.count - 1, 6000 do
      local pairs_ = {}
      for i = from, math.min(from + 5999, key.first + key.count - 1), 2 do
        pairs_[#pairs_ + 1] = ARGV[i + 1]
        pairs_[#pairs_ + 1] = ARGV[i]
      end
      redis.call('ZADD', key.name, unpack(pairs_))
    end
  end
  if key.form ~= 'gone' and key.expiry ~= '0' then redis.call('PEXPIREAT', key.name, key.expiry) end
  if key.form == 'gone' and key.expiry == '0' then redis.call('HDEL', record, 'k' .. key.name)
  else redis.call('HSET', record, 'k' .. key.name, key.expiry) end
end
if mode == 'full' then
  local kept = {}
  for i = 1, #keys do kept['k' .. keys[i].name] = true end
  for _, field in ipairs(redis.call('HKEYS', record)) do
    local sort = string.sub(field, 1, 1)
    if sort == 'l' then redis.call('HDEL', record, field) end
    if sort == 'k' and not kept[field] then
      redis.call('DEL', string.sub(field, 2))
      redis.call('HDEL', record, field)
    end
  end
end
for i = 1, #keys do store(keys[i]) end
for i = 1, #log do redis.call('HSET', record, 'l' .. tonumber(cmsgpack.unpack(log[i])[1]) % 32, log[i]) end
if ops == '' then redis.call('HDEL', record, 'o') else redis.call('HSET', record, 'o', ops) end
if ARGV[10] == '1' then redis.call('HSET', record, 'm', '1') end
tell_waiters(record, version) -- it may hold growth that this node never executed
return {'SETTLED'}
