-- settle: accept a history under a ballot, with the state that it produced where the node does not have it. With a state it tells who waits: PUBLISH.
-- USES    fence text age log record confirm rebuild value wake
-- KEYS    1 record
-- ARGV    1 fence; 2 deadline ms; 3 ballot; 4 version; 5 digest; 6 mode (confirm, full, delta, reset, fill); 7 base digest (delta: the digest that the delta starts from;
--         reset, fill and the delta that ends them: a token of 32 hex digits in its place);
--         8 remembered ops, as snapshot gave them (reset: the token of a fill that its coordinator gave up for this one); 9 dirty ('1': remember here that another node missed this settle); 10 multi ('1' or '0');
--         11 number of log entries; then the entries, as snapshot gave them; then the number of keys; then of each: name, form, expiry ms, number of elements, elements.
--         A confirmation and a reset end with ARGV[9]. A reset under the ballot of a settle that a majority without this node has taken: the
--         node forgets its history and what it accepted, not what it promised, and does not run or read anything until a delta ends it;
--         fills bring keys meanwhile, under no ballot, and no other coordinator's reset succeeds for 20 s after one
-- REPLY   {'SETTLED'} {'NACK', promised} {'NEEDS_STATE', version, digest} {'CONFLICT', digest} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}: nothing changed but with SETTLED
-- ERRORS  none of its own
local record = KEYS[1]
local ballot, version, digest, mode, base, ops, dirty = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
-- Neither Lua nor Redis takes back what was written before a mistake shows: all of a call is looked at before the first write, here and below.
if mode == 'confirm' then return confirm(record, ballot, digest, dirty) end
local modes = {full = true, delta = true, reset = true, fill = true}
if not modes[mode] or #ballot ~= 33 or not string.find(ballot, '^%d+%-%x+$') or #version > 16 or not string.find(version, '^%d+$')
  or not (digest == '' or #digest == 32 and string.find(digest, '^%x+$')) or (mode == 'reset' or mode == 'fill') and #base ~= 32 then
  return {'REFUSED', 'ERR no mode, ballot, version or digest'}
end
local found = redis.call('HMGET', record, 'h', 'd', 'a', 'f')
local head = head_of(found[1], found[2], found[3]) or no_head()
local promised, accepted, local_version, local_digest = head.promised, head.accepted, head.version, head.digest
if not found[1] and older_than_purge_age(time_of(ballot)) then return {'EXPIRED', as_text(now_ms)} end
local filling = found[4] and string.sub(found[4], 1, 32)
if mode == 'reset' then
  if ballot <= accepted or filling and filling ~= ops and tonumber(string.sub(found[4], 33)) > now_ms - 20000 then return {'NACK', promised} end
  local forgetful = no_head()
  forgetful.promised, forgetful.entry = ballot > promised and ballot or promised, head.entry
  list_many(forgetful)
  local refused = save_head(record, forgetful, 'f', base .. as_text(now_ms))
  if refused then return {'REFUSED', refused} end
  redis.call('HDEL', record, 'd', 'o', 'a')
  local log = {}
  for i = 0, 4095 do log[i + 1] = 'l' .. i end
  redis.call('HDEL', record, unpack(log))
  return {'SETTLED'}
end
if mode ~= 'fill' and ballot < promised then return {'NACK', promised} end -- I1
if mode ~= 'fill' and ballot == accepted and ballot == promised and digest ~= local_digest then return {'CONFLICT', local_digest} end -- I3
if mode == 'delta' and (filling or local_digest) ~= base or mode == 'fill' and filling ~= base then
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
local function take_count()
  local count = tonumber(take() or '')
  return count and count >= 0 and count % 1 == 0 and count <= #ARGV and count
end
local function unpacked(packed)
  local ran, value = pcall(cmsgpack.unpack, packed)
  return ran and type(value) == 'table' and value
end
-- What ZADD takes: no blanks, no NaN, and neither too large nor too small for a double.
local function is_score(text)
  local score = tonumber(text)
  if not score or score ~= score or string.find(text, '[^%w.+-]') then return false end
  if score == 0 then return string.find(text, '^[-+]?[0.]+$') end
  return score - score == 0 or string.find(text, '^[-+]?[iI][nN][fF]')
end
local function can_be_stored(key)
  if #key.expiry > 16 or not string.find(key.expiry, '^%d+$') then return false end
  -- The protocol's own keys are nobody's value, but for the register that says who the members are.
  if string.sub(key.name, 1, 7) == 'anrcho_' and key.name ~= 'anrcho_config' then return false end
  if key.form == 'zset' then
    for i = key.first + 1, at - 1, 2 do
      if not is_score(ARGV[i]) then return false end
    end
  end
  return true
end
local count = take_count()
for i = 1, count or 0 do
  log[i] = take()
  local entry = unpacked(log[i] or '')
  local logged = entry and tonumber(entry[1])
  if not logged or logged % 1 ~= 0 then count = nil break end
end
local remembered = (ops == '' or mode == 'fill') and {} or unpacked(ops)
for _, op in ipairs(remembered or {}) do
  if type(op) ~= 'table' or type(op[1]) ~= 'string' or #op[1] ~= 16 or string.find(op[1], '%X') or type(op[2]) ~= 'string' or #op[2] ~= 33
    or op[3] and (type(op[3]) ~= 'string' or #op[3] < 2) then remembered = nil end
end
if not count or not remembered then return {'REFUSED', 'ERR no log, or no remembered ops'} end
local staged = {}
count = take_count()
if not count then return {'REFUSED', 'ERR the arguments do not add up'} end
for i = 1, count do
  local key = {name = take(), form = take(), expiry = take(), count = take_count()}
  key.first = at
  at = at + (key.count or 0)
  if not key.count or at > #ARGV + 1 then return {'REFUSED', 'ERR the arguments do not add up'} end
  local step = multiple[key.form]
  if exactly[key.form] ~= key.count and not (step and key.count > 0 and key.count % step == 0) or not tonumber(key.expiry) then
    return {'REFUSED', 'ERR a state of form ' .. key.form .. ' with ' .. key.count .. ' elements'}
  end
  if not can_be_stored(key) then return {'REFUSED', 'ERR a state with an expiry, a score or a name that is none'} end
  keys[i] = key
  if key.form == 'staged' then
    local stage, form, length = ARGV[key.first], ARGV[key.first + 1], ARGV[key.first + 2]
    if staged[stage] or string.sub(stage, 1, 13) ~= 'anrcho_stage:' then return {'REFUSED', 'ERR a stage that is none'} end
    staged[stage] = true
    if redis.call('TYPE', stage).ok ~= form or as_text(redis.call(lengths[form], stage)) ~= length then
      return {'NEEDS_STATE', local_version, local_digest}
    end
  end
end

if at ~= #ARGV + 1 then return {'REFUSED', 'ERR the arguments do not add up'} end
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

-- What the record is to say of a key.
local function entry_in(key) return key.form == 'gone' and key.expiry == '0' and '' or key.expiry end
local refused, alone = nil, head.entry
if mode == 'fill' then refused = error_of(redis.pcall('HSET', record, 'f', base .. as_text(now_ms)))
else
  promise_in(record, head, ballot)
  head.accepted, head.settled, head.version, head.digest = ballot, version, version, digest
  remember(head, remembered)
  local many = ARGV[10] == '1'
  for i = 1, #keys do many = many or not is_id(record, keys[i].name) end
  if many then list_many(head)
  elseif head.entry ~= 'm' then
    if mode == 'full' then head.entry = '' end
    if keys[1] then head.entry = entry_in(keys[1]) end
  end
  refused = save_head(record, head)
end
if refused then return {'REFUSED', refused} end
if mode ~= 'fill' and filling then redis.call('HDEL', record, 'f') end
if mode ~= 'fill' and dirty == '1' then redis.call('HSET', 'anrcho_dirty', string.sub(record, 17, -2), ballot) end

local function store(key)
  redis.call('UNLINK', key.name)
  if key.stage then redis.call('RENAME', key.stage, key.name)
  elseif key.form == 'staged' then
    redis.call('RENAME', ARGV[key.first], key.name)
    redis.call('PERSIST', key.name)
  else
    store_value(key.name, key.form, ARGV, key.first, key.first + key.count - 1)
  end
  if key.form ~= 'gone' and key.expiry ~= '0' then redis.call('PEXPIREAT', key.name, key.expiry) end
  if head.entry ~= 'm' then return end
  if entry_in(key) == '' then redis.call('HDEL', record, 'k' .. key.name)
  else redis.call('HSET', record, 'k' .. key.name, key.expiry) end
end
if digest == '' and mode ~= 'fill' then redis.call('HDEL', record, 'd', 'o') end
if mode == 'full' then
  if head.entry == '' and alone ~= '' and alone ~= 'm' then redis.call('UNLINK', string.sub(record, 17, -2)) end
  local kept = {}
  for i = 1, #keys do kept['k' .. keys[i].name] = true end
  for _, field in ipairs(redis.call('HKEYS', record)) do
    local sort = string.sub(field, 1, 1)
    if sort == 'l' then redis.call('HDEL', record, field) end
    if sort == 'k' and not kept[field] then
      redis.call('UNLINK', string.sub(field, 2))
      redis.call('HDEL', record, field)
    end
  end
end
for i = 1, #keys do store(keys[i]) end
if mode == 'fill' then return {'SETTLED'} end
for i = 1, #log do redis.call('HSET', record, 'l' .. tonumber(cmsgpack.unpack(log[i])[1]) % log_length(record), log[i]) end
tell_waiters(record, version) -- it may hold growth that this node never executed
return {'SETTLED'}
