-- adopt: take keys that are there into a register's record as they are; the values stay untouched. Or drop keys that no record lists.
-- USES    fence text deadline log record
-- KEYS    1 record; 2.. keys of the register, at most 1000
-- ARGV    1 fence; 2 deadline ms; 3 what (list, drop); list: 4 ballot, above all that any node has answered; 5 op id; 6 anew ('1': a new version also where they are listed as they are)
-- REPLY   {'LISTED', version, digest} {'SAME', version, digest} they were listed so before; list works only on a node whose role is `adopting`, and is that register's op, settled there
--         {'NACK', promised} {'OTHER', field, value}: nothing changed
--         {'DROPPED', how many} the keys that the record lists stay
--         {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local record = KEYS[1]
if ARGV[3] == 'drop' then
  local dropped, head = 0, load_head(record)
  for i = 2, #KEYS do
    if not entry_of(record, head, KEYS[i]) then dropped = dropped + redis.call('UNLINK', KEYS[i]) end
  end
  return {'DROPPED', as_text(dropped)}
end
local ballot, op, anew = ARGV[4], ARGV[5], ARGV[6] == '1'
if #ballot ~= 33 or #op ~= 33 then return {'REFUSED', 'ERR no ballot or op id'} end
local role = redis.call('HGET', 'anrcho_node', 'role') or ''
if role ~= 'adopting' then return {'OTHER', 'role', role} end
local exists = load_head(record)
local head = exists or no_head()
local promised, version, digest = head.promised, head.version, head.digest
local listed, gone, many = {}, {}, head.entry == 'm'
for i = 2, #KEYS do
  local key = KEYS[i]
  local entry, expiry = entry_of(record, exists, key), expiry_of(key)
  if expiry == -2 then
    -- One that has expired stays listed: that tells it from one that was lost.
    if entry and (entry == '0' or tonumber(entry) > now_ms) then gone[#gone + 1] = 'k' .. key end
  else
    local now_listed = as_text(math.max(expiry, 0))
    if entry ~= now_listed then listed[#listed + 1], listed[#listed + 2] = 'k' .. key, now_listed end
    many = many or not is_id(record, key)
  end
end
if #listed + #gone == 0 and not (anew and exists) then return {'SAME', version, digest} end
if ballot <= promised then return {'NACK', promised} end -- I1
version, digest = as_text(tonumber(version) + 1), string.sub(redis.sha1hex(digest .. op .. ballot), 1, 32)
promise_in(record, head, ballot)
head.accepted, head.settled, head.version, head.digest = ballot, version, version, digest
if many then list_many(head)
elseif #gone > 0 then head.entry = ''
elseif #listed > 0 then head.entry = listed[2] end
local refused = save_head(record, head)
if refused then return {'REFUSED', refused} end
if many then
  if #listed > 0 then redis.call('HSET', record, unpack(listed)) end
  if #gone > 0 then redis.call('HDEL', record, unpack(gone)) end
  local changed = {}
  for i = 1, anew and #KEYS - 1 or 0 do changed[i] = KEYS[i + 1] end
  for i = 1, anew and 0 or #listed, 2 do changed[#changed + 1] = string.sub(listed[i], 2) end
  for i = 1, anew and 0 or #gone do changed[#changed + 1] = string.sub(gone[i], 2) end
  redis.call('HSET', record, 'l' .. tonumber(version) % log_length(record), cmsgpack.pack({version, digest, changed}))
end
return {'LISTED', version, digest}
