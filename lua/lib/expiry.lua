-- expiry: what the record says of a key (ms, '0' none) against what the server holds.
-- load_record answers the head of the record KEYS[first], and the entry of each key up to KEYS[last] under its place: one call for all but huge batches.
local function load_record(first, last)
  local record, fields, within = KEYS[first], {'h', 'd', 'a'}, math.min(last, first + 3999)
  if last > first + 1 then
    for i = first + 1, within do fields[i - first + 3] = 'k' .. KEYS[i] end
  end
  local found, entries = redis.call('HMGET', record, unpack(fields)), {}
  local head = head_of(found[1], found[2], found[3])
  for i = first + 1, last do
    local entry
    if head and head.entry == 'm' then entry = found[i - first + 3] end
    if entry == nil then entry = entry_of(record, head, KEYS[i]) end
    entries[i] = entry
  end
  return head, entries
end
-- give_up_on takes a key's entry (false: not in the register) and answers a reply to give up with, or nil and whether the key is due.
local function give_up_on(entry, key, at_ms)
  if not entry then
    if redis.call('EXISTS', key) == 1 then return {'STRAY', key} end
    return nil
  end
  if entry == '0' then return nil end
  if tonumber(entry) <= at_ms then return nil, true end
  if redis.call('EXISTS', key) == 0 then return {'EXPIRING', entry} end
  return nil
end
