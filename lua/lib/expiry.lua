-- expiry: what the record says of a key (`k<key>`: ms, '0' none) against what the server holds.
-- load_record answers the named fields of the record KEYS[first] and behind them the entry of each key up to KEYS[last]: one call for all but huge batches.
local function load_record(first, last, names)
  local fixed, within = #names - first, math.min(last, first + 3999)
  for i = first + 1, within do names[fixed + i] = 'k' .. KEYS[i] end
  local head = redis.call('HMGET', KEYS[first], unpack(names))
  for i = within + 1, last do head[fixed + i] = redis.call('HGET', KEYS[first], 'k' .. KEYS[i]) end
  return head
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
