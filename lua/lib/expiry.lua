-- expiry: what the record says of a key (`k<key>`: ms, '0' none) against what the server holds.
-- entry_of answers the entry (false: not in the register), then a reply to give up with, then whether the key is due at at_ms.
local function entry_of(record, exists, key, at_ms)
  local entry = exists and redis.call('HGET', record, 'k' .. key)
  if not entry then
    if redis.call('EXISTS', key) == 1 then return false, {'STRAY', key} end
    return false
  end
  if entry == '0' then return entry end
  if tonumber(entry) <= at_ms then return entry, nil, true end
  if redis.call('EXISTS', key) == 0 then return entry, {'EXPIRING', entry} end
  return entry
end
