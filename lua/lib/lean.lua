-- lean: what lib/op.lua and lib/look.lua do, for the calls that most are: one short command on one key that is its own register, that is not there yet, or is there and never expires. Anything
-- else answers nothing, and nothing has changed: then they have their turn. Texts and calls are what costs here, so there are few.
local sub, call, try = string.sub, redis.call, redis.pcall
-- Whether a command of so many words leaves its key there, without an expiry if it had none.
local function lasts(name, argc)
  return name == 'SET' and argc == 3 or name == 'INCR' or name == 'HSET' or name == 'LPUSH' or name == 'RPUSH' or name == 'SADD' or name == 'ZADD' and argc == 4
    or name == 'INCRBY' or name == 'DECR' or name == 'DECRBY' or name == 'HINCRBY' or name == 'APPEND'
end
-- The ops of other coordinators that a history remembers, {sequence, ballot, packed replies or false} each; nil where one of this coordinator's is no older one.
local function of_others(record, promised, ops, op, since)
  local all, others = nil, {}
  if ops == '*' then all = cmsgpack.unpack(call('HGET', record, 'o'))
  elseif ops ~= '' then
    local packed = sub(ops, 17)
    all = {{sub(ops, 1, 16), promised, packed ~= '-' and packed}}
  end
  for i = 1, all and #all or 0 do
    local ran = all[i][2]
    if sub(ran, 18) ~= sub(op, 1, 16) then
      if sub(ran, 1, 13) >= since then others[#others + 1] = all[i] end
    elseif all[i][1] >= sub(op, 18) then return nil end
  end
  return others
end
-- Answers the line of the acknowledgement, and the reply. No ballot that is ahead of this node's clock is above `latest`.
local function op_lean(record, key, ballot, op, first, behind, flags, reply_limit, retry_window_ms, latest)
  local name, argc = ARGV[first + 1], behind - first - 1
  if not lasts(name, argc) or argc > 7900 or ballot > latest or #ballot ~= 33 or #op ~= 33 or record ~= 'anrcho_version:{' .. key .. '}' then return nil end
  local found, sequence = call('HMGET', record, 'h', 'd', 'a'), sub(op, 18)
  local h, d, a = found[1], found[2], found[3]
  local base, version, accepted, others = '', '1', ' 0', nil
  if not h then
    if tonumber(sub(ballot, 1, 13)) <= now_ms - 1000 or call('EXISTS', key) == 1 then return nil end
  else
    local promised = sub(h, 1, 33)
    if not d or sub(h, -2) ~= ' 0' or ballot <= promised then return nil end -- I1
    if string.byte(d, 33) ~= 42 and sub(promised, 18) == sub(op, 1, 16) then -- 42: '*'
      if sub(d, 33, 48) >= sequence then return nil end -- I5
    else
      others = of_others(record, promised, sub(d, 33), op, string.format('%013.0f', tonumber(sub(ballot, 1, 13)) - retry_window_ms))
      if not others then return nil end
    end
    base, version = sub(d, 1, 32), string.format('%d', sub(h, 34, -3) + 1)
    if a then accepted = sub(a, 1, 33) .. ' ' .. sub(a, 34) end
  end
  local reply, packed = try(unpack(ARGV, first + 1, behind - 1)), nil
  if type(reply) == 'table' then
    if reply.err then return nil end
    if reply.ok == 'OK' then packed = '\145\129\162ok\162OK' end -- as cmsgpack has it
  elseif reply >= 9007199254740992 or reply <= -9007199254740992 then
    reply = name == 'HINCRBY' and call('HGET', key, ARGV[first + 3]) or call('GET', key)
  end
  local digest = sub(redis.sha1hex(base .. op .. ballot), 1, 32) -- I2
  packed = packed or cmsgpack.pack({reply})
  if #packed > reply_limit then packed = '-' end
  if #packed <= 16 and not (others and others[1]) then
    call('HSET', record, 'h', ballot .. version .. ' 0', 'd', digest .. sequence .. packed)
    if others and string.byte(d, 33) == 42 then call('HDEL', record, 'o') end
  else
    others = others or {}
    others[#others + 1] = {sequence, ballot, packed ~= '-' and packed}
    call('HSET', record, 'h', ballot .. version .. ' 0', 'd', digest .. '*', 'o', cmsgpack.pack(others))
  end
  if flags == 'w' then tell_waiters(record, version) end
  return 'ACK ' .. accepted .. ' ' .. version .. ' ' .. digest .. ' ' .. ballot .. ' ' .. base, reply
end
local function look_lean(record, key, first, behind)
  if ARGV[first + 1] == 'EVAL' or record ~= 'anrcho_version:{' .. key .. '}' then return nil end
  local found = call('HMGET', record, 'h', 'd', 'a')
  local h, d, a = found[1], found[2], found[3]
  if h and (not d or sub(h, -2) ~= ' 0') or not h and call('EXISTS', key) == 1 then return nil end
  local reply = try(unpack(ARGV, first + 1, behind - 1))
  if type(reply) == 'table' and reply.err then return nil end
  if not h then return nil, {'ABSENT', {reply}} end
  return 'READ ' .. sub(h, 1, 33) .. ' ' .. (a and sub(a, 1, 33) .. ' ' .. sub(a, 34) or ' 0') .. ' ' .. sub(h, 34, -3) .. ' ' .. sub(d, 1, 32) .. ' 0', reply
end
-- Under the ballot that it has just run the op of, nothing but what is accepted changes.
local function confirm_lean(record, ballot, digest, dirty)
  local found = call('HMGET', record, 'h', 'd', 'f')
  local h, d = found[1], found[2]
  if not h or not d or found[3] or sub(h, 1, 33) ~= ballot or sub(d, 1, 32) ~= digest then return nil end
  local reply = try('HSET', record, 'a', ballot .. string.match(h, '%d+', 34))
  if type(reply) == 'table' then return nil end
  if dirty == '1' then call('HSET', 'anrcho_dirty', sub(record, 17, -2), ballot) end
  return nil, {'SETTLED'}
end
