-- confirm: accepts a history under a ballot on a node that has it. Answers what `settle` answers.
local function confirm(record, ballot, digest, dirty)
  if #ballot ~= 33 or not string.find(ballot, '^%d+%-%x+$') or not (digest == '' or #digest == 32 and string.find(digest, '^%x+$')) then
    return {'REFUSED', 'ERR no ballot or digest'}
  end
  local found = redis.call('HMGET', record, 'h', 'd', 'a', 'f')
  local head = head_of(found[1], found[2], found[3])
  if not head and older_than_purge_age(time_of(ballot)) then return {'EXPIRED', as_text(now_ms)} end
  head = head or no_head()
  if ballot < head.promised then return {'NACK', head.promised} end -- I1
  if ballot == head.accepted and ballot == head.promised and digest ~= head.digest then return {'CONFLICT', head.digest} end -- I3
  if found[4] or digest ~= head.digest then return {'NEEDS_STATE', head.version, head.digest} end
  promise_in(record, head, ballot)
  head.accepted, head.settled = ballot, head.version
  local refused = save_head(record, head)
  if refused then return {'REFUSED', refused} end
  if dirty == '1' then redis.call('HSET', 'anrcho_dirty', string.sub(record, 17, -2), ballot) end
  return {'SETTLED'}
end
