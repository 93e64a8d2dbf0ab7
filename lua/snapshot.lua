-- snapshot: a register's state for a repair: all of it, what changed since a digest, some keys, or a slice of one large key. Writes nothing.
-- USES    fence text deadline log record state entries
-- KEYS    1 record; 2.. the keys wanted ('all', 'since' and 'names': none; 'slice': one)
-- ARGV    1 fence; 2 deadline ms; 3 what (all, since, keys, streams, slice, names); 4 limit bytes of the answer;
--         streams: as keys, but streams in the form `stream`; since: 5 digest that the other node is at, or several (comma between),
--         all of which the history must contain: what changed since the first of them; slice: 5 position ('0' first), 6 number of elements (bytes of a string); names: the same for
--         the names of the register's keys
-- REPLY   {'SNAPSHOT', promised, accepted, settled, version, digest, ops, multi, mode, log, states} mode is full, delta, or many: more keys than one call takes, go by their names; of each key {name, form, expiry ms, elements},
--         form 'large' with {form, length} where the key alone reaches the limit or has more
--         than 1000 elements, 'later' where the answer so far reaches the limit
--         {'SLICE', version, digest, next position ('0' last), elements}
--         {'ABSENT'} no record; {'LOST', key} the record lists a key that the server no longer has, or there is nothing to slice, or ('') the register is being filled; {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local record, what, limit = KEYS[1], ARGV[3], tonumber(ARGV[4])
local found = redis.call('HMGET', record, 'h', 'd', 'a', 'f')
local head = head_of(found[1], found[2], found[3])
if not head then return {'ABSENT'} end
local version, digest, many = head.version, head.digest, head.entry == 'm'

if what == 'names' then
  if not many then return {'SLICE', version, digest, '0', keys_of(record, head)} end
  local page, names = redis.call('HSCAN', record, ARGV[5], 'COUNT', ARGV[6]), {}
  for i = 1, #page[2], 2 do
    if string.sub(page[2][i], 1, 1) == 'k' then names[#names + 1] = string.sub(page[2][i], 2) end
  end
  return {'SLICE', version, digest, page[1], names}
end
if found[4] then return {'LOST', ''} end
if what == 'slice' then
  local key, position, count = KEYS[2], ARGV[5], tonumber(ARGV[6])
  local form, from = form_of(key), tonumber(ARGV[5])
  if not lengths[form] then return {'LOST', key} end
  local elements, following
  if form == 'hash' or form == 'set' then
    local page = redis.call(form == 'hash' and 'HSCAN' or 'SSCAN', key, position, 'COUNT', count)
    elements, following = page[2], page[1]
  else
    local to = from + count - 1
    if form == 'string' then elements = {redis.call('GETRANGE', key, from, to)}
    elseif form == 'list' then elements = redis.call('LRANGE', key, from, to)
    else elements = redis.call('ZRANGE', key, from, to, 'WITHSCORES') end
    following = as_text(to + 1 < redis.call(lengths[form], key) and to + 1 or 0)
  end
  return {'SLICE', version, digest, following, elements}
end

local most_keys = 5000
-- The keys that changed after the given digest, where the log reaches back to it and they are not too many for one call.
local function changed_since(bases)
  local missing, wanted = 0, {}
  for base in string.gmatch(bases, '%x+') do
    if not wanted[base] then missing = missing + 1 end
    wanted[base] = true
  end
  if missing == 0 then return nil end
  local names, seen, log = {}, {}, {}
  local number, length = tonumber(version), log_length(record)
  for back = 0, math.min(length - 1, number) do
    local packed = redis.call('HGET', record, 'l' .. (number - back) % length)
    local entry = packed and cmsgpack.unpack(packed)
    if not entry or entry[1] ~= as_text(number - back) then return nil end
    log[#log + 1] = packed
    if wanted[entry[2]] then missing = missing - 1 end
    if missing == 0 then return names, log end
    if #names > most_keys then return nil end
    for _, name in ipairs(entry[3]) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
end
local function whole_log()
  local log = {}
  for _, field in ipairs(many and redis.call('HKEYS', record) or {}) do
    if string.sub(field, 1, 1) == 'l' then log[#log + 1] = redis.call('HGET', record, field) end
  end
  return log
end
local mode, names, log = 'delta', nil, {}
if what == 'since' then names, log = changed_since(ARGV[5]) end
if what == 'keys' or what == 'streams' then
  names = {}
  for i = 2, #KEYS do names[i - 1] = KEYS[i] end
end
if not names and redis.call('HLEN', record) > most_keys then mode, names, log = 'many', {}, {} end
if not names then
  mode = 'full'
  names, log = keys_of(record, head), whole_log()
end

local states, total = {}, 0
for i = 1, #names do
  local name = names[i]
  local listed, form = entry_of(record, head, name), form_of(name)
  local entry = listed or '0'
  if form == 'gone' and listed and (entry == '0' or tonumber(entry) > now_ms) then return {'LOST', name} end
  if not listed then form = 'gone' end
  if total >= limit then
    states[i] = {name, 'later', entry, {}}
  else
    local elements, size
    if what == 'streams' and redis.call('TYPE', name).ok == 'stream' then form, elements, size = 'stream', elements_of_stream(name), 0
    else elements, size = elements_within(name, form, limit, 1000) end
    states[i] = elements and {name, form, entry, elements} or {name, 'large', entry, {form, as_text(size)}}
    total = total + (elements and size or 0) + #name
  end
end
local ops = head.ops == '' and '' or cmsgpack.pack(remembered_by(record, head))
return {'SNAPSHOT', head.promised, head.accepted, head.settled, version, digest, ops, many and '1' or '0', mode, log, states}
