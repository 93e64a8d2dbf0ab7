-- record: what a register's record says, in fields of few bytes, which a server keeps compact up to 64:
--   h  the promised ballot (33 bytes), the version, a space, and whether the key that is the register's id is there: its expiry in ms, '0' none, '' not there;
--      or 'm': other keys were touched too, and each that is there has a field of its own, `k<key>`: its expiry in ms, '0' none
--   d  the digest (32 hex digits), and what the history remembers of ops: nothing; or of one that ran under the promised ballot its sequence (16 hex digits) and its packed replies, of at most
--      16 bytes, '-' where they were too long to be remembered; or '*'. No field at version 0
--   o  with '*': by MessagePack {{sequence, ballot it ran under, packed replies or false}, ...}, one per coordinator (I5)
--   a  the accepted ballot (33 bytes) and the version that was settled then; no field where there is none
local function head_of(h, d, a)
  if not h then return nil end
  local version, entry = string.match(h, '^(%d+) (.*)$', 34)
  -- A record that somebody else wrote may hold anything.
  return {promised = string.sub(h, 1, 33), version = version or '0', entry = entry or '', digest = d and string.sub(d, 1, 32) or '', ops = d and string.sub(d, 33) or '',
    accepted = a and string.sub(a, 1, 33) or '', settled = a and string.sub(a, 34) or '0'}
end
-- What a register is before its first op.
local function no_head() return {promised = '', version = '0', entry = '', digest = '', ops = '', accepted = '', settled = '0'} end
local function load_head(record)
  local found = redis.call('HMGET', record, 'h', 'd', 'a')
  return head_of(found[1], found[2], found[3])
end
local function remembered_by(record, head)
  if head.ops == '' then return {} end
  if head.ops == '*' then return cmsgpack.unpack(redis.call('HGET', record, 'o')) end
  local packed = string.sub(head.ops, 17)
  return {{string.sub(head.ops, 1, 16), head.promised, packed ~= '-' and packed}}
end
local function remember(head, ops)
  head.had_list = head.had_list or head.ops == '*'
  if #ops == 0 then head.ops = ''
  elseif #ops == 1 and ops[1][2] == head.promised and #(ops[1][3] or '-') <= 16 then head.ops = ops[1][1] .. (ops[1][3] or '-')
  else head.ops, head.list = '*', cmsgpack.pack(ops) end
end
local function promise_in(record, head, ballot)
  if ballot == head.promised then return end
  local ops = remembered_by(record, head)
  head.promised = ballot
  remember(head, ops)
end
local function is_id(record, key) return record == 'anrcho_version:{' .. key .. '}' end
-- From here on each key has a field of its own.
local function list_many(head)
  if head.entry ~= 'm' then head.moved, head.entry = head.entry, 'm' end
end
-- Writes what the head says, and answers why the node would not; `...` are other fields.
local function save_head(record, head, ...)
  local words = {'h', head.promised .. head.version .. ' ' .. head.entry, ...}
  local function add(field, value) words[#words + 1], words[#words + 2] = field, value end
  if head.digest ~= '' then
    add('d', head.digest .. head.ops)
    if head.list and head.ops == '*' then add('o', head.list) end
  end
  if head.accepted ~= '' then add('a', head.accepted .. head.settled) end
  if head.moved and head.moved ~= '' then add('k' .. string.sub(record, 17, -2), head.moved) end
  local refused = error_of(redis.pcall('HSET', record, unpack(words)))
  if not refused and head.had_list and head.ops ~= '*' then redis.call('HDEL', record, 'o') end
  return refused
end
-- What the record says of a key: its expiry in ms, '0' none; false where it is not there.
local function entry_of(record, head, key)
  if not head then return false end
  if head.entry == 'm' then return redis.call('HGET', record, 'k' .. key) end
  return head.entry ~= '' and is_id(record, key) and head.entry
end
local function keys_of(record, head)
  local keys = {}
  if not head then return keys end
  if head.entry ~= 'm' then
    if head.entry ~= '' then keys[1] = string.sub(record, 17, -2) end
    return keys
  end
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if string.sub(field, 1, 1) == 'k' then keys[#keys + 1] = string.sub(field, 2) end
  end
  return keys
end
