-- apply: promise a ballot and run one op (a command or a batch) on the local value, at most once per op id.
-- USES    fence text age expiry deadline log state stream register user take wake
-- KEYS    1 record; 2.. every key that the commands name, each once; users' scripts may use others of the register too, which join these then
-- ARGV    1 fence; 2 deadline ms; 3 ballot; 4 op id, of the ballot's coordinator; 5 flags (k keep the promise of an absent register, r read-only, h hash the replies, w tell who waits: PUBLISH,
--         t and ms: stream commands take their time from the op, and deliver at this one, which should be past on every node's clock);
--         6 digest that the op holds at, or '*', and perhaps '<' and the ms from which on it holds no more; 7 state limit bytes (0 none); 8 reply limit bytes; 9 retry window ms;
--         10 max clock offset ms; 11 lowest absolute expiry ms that the commands set (0 none); 12 number of commands; 13.. argc, args of each
-- REPLY   {'ACK', accepted, settled, version, digest, ran, base digest, replies, states} `ran` is the ballot under which this history holds the op, '' where it does not;
--         replies: one each command, false where they were too long to remember, 'MISMATCH' where the digest was another, or the register is being filled
--         {'ABSENT', replies} no record, and none left behind: no promise
--         {'NACK', promised} {'EXPIRING', expiry ms} {'STRAY', key} {'AHEAD', now ms} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}: nothing changed
-- ERRORS  none of its own
local record = KEYS[1]
local ballot, op, flags, expected = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local state_limit, reply_limit, retry_window_ms = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local max_offset_ms, lowest_expiry_ms, commands = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local holds_until_ms = math.huge
local limit = string.find(expected, '<', 1, true)
if limit then expected, holds_until_ms = string.sub(expected, 1, limit - 1), tonumber(string.sub(expected, limit + 1)) end
local keep, read_only, hash, wake
if flags ~= '' then
  keep, read_only, hash = string.find(flags, 'k', 1, true), string.find(flags, 'r', 1, true), string.find(flags, 'h', 1, true)
  wake = string.find(flags, 'w', 1, true)
end

-- A ballot begins with 16 digits of microseconds.
local function ms_of(text) return tonumber(string.sub(text, 1, 13)) end
local op_ms = ms_of(ballot)

local head = load_record(record, {'p', 'a', 's', 'v', 'd', 'o', 'm', 'f'})
local exists, promised, accepted, settled = head[1], head[1] or '', head[2] or '', head[3] or '0'
local version, digest, multi = head[4] or '0', head[5] or '', head[7]
if ballot <= promised then return {'NACK', promised} end -- I1
if op_ms > now_ms + max_offset_ms then return {'AHEAD', as_text(now_ms)} end
if not exists and older_than_purge_age(op_ms) then return {'EXPIRED', as_text(now_ms)} end

local function states()
  if state_limit == 0 then return {} end
  local all, total = {}, 0
  for i = 2, #KEYS do
    local key, form = KEYS[i], form_of(KEYS[i])
    local elements, size = elements_within(key, form, state_limit - total, state_limit)
    if not elements or total + size > state_limit then return {} end
    total = total + size
    all[i - 1] = {key, form, as_text(math.max(expiry_of(key), 0)), elements}
  end
  return all
end
local function ack(ran, base, replies)
  return {'ACK', accepted, settled, version, digest, ran, base, replies, states()}
end
-- The promise alone; it is the first write of the script, so a full node says so here.
local function promise()
  return error_of(redis.pcall('HSET', record, 'p', ballot))
end

-- A node that is being filled has no history, and values of parts of another: it promises, and that is all.
if head[8] then
  local refused = promise()
  if refused then return {'REFUSED', refused} end
  return {'ACK', accepted, settled, version, digest, '', digest, 'MISMATCH', {}}
end

-- The ops that this history remembers: {sequence, ballot it ran under, packed replies or false}, one per coordinator. (I5)
-- A coordinator's ballots carry its id, so the id is not kept twice: with a short reply the entry stays within a listpack.
local coordinator, sequence = string.sub(op, 1, 16), tonumber(string.sub(op, 18), 16)
local remembered = {}
if head[6] and not read_only then
  for _, entry in ipairs(cmsgpack.unpack(head[6])) do
    if string.sub(entry[2], 18) ~= coordinator then
      if ms_of(entry[2]) >= op_ms - retry_window_ms then remembered[#remembered + 1] = entry end
    elseif entry[1] == sequence then
      local refused = promise()
      if refused then return {'REFUSED', refused} end
      return ack(entry[2], '', entry[3] and cmsgpack.unpack(entry[3]))
    elseif sequence < entry[1] then
      return {'NACK', promised} -- a copy that arrives after its coordinator went on to the next op
    end
  end
end

-- Decide, then write: all checks stand above the first write, because nothing rolls back.
local first = 13
for _ = 1, commands do
  local argc = tonumber(ARGV[first])
  if not argc or argc < 1 then return {'REFUSED', 'ERR a command without a number of arguments'} end
  if argc > 7900 then return {'REFUSED', 'ERR a command of ' .. argc .. ' arguments: a script takes 7900, split it'} end
  first = first + 1 + argc
end
local entries, due = {}, {}
for i = 2, #KEYS do
  local give_up, is_due = give_up_on(head[i + 7], KEYS[i], op_ms)
  if give_up then return give_up end
  entries[i] = head[i + 7]
  if is_due then due[#due + 1] = KEYS[i] end
end
if lowest_expiry_ms > op_ms and lowest_expiry_ms <= now_ms + 5 then return {'EXPIRING', ARGV[11]} end
if expected ~= '*' and expected ~= digest or op_ms >= holds_until_ms then
  if not exists and not keep then return {'ABSENT', 'MISMATCH'} end
  local refused = promise()
  if refused then return {'REFUSED', refused} end
  return ack('', digest, 'MISMATCH')
end

for i = 1, #due do redis.call('UNLINK', due[i]) end
-- Integers are exact to 2^53 here; beyond it the value itself is read back as text.
local function exact(reply, at)
  if type(reply) ~= 'number' or (reply < 9007199254740992 and reply > -9007199254740992) then return reply end
  local name = string.upper(ARGV[at])
  if name == 'HINCRBY' then return redis.call('HGET', ARGV[at + 1], ARGV[at + 2]) end
  if string.find(name, '^INCR') or string.find(name, '^DECR') then return redis.call('GET', ARGV[at + 1]) end
  return as_text(reply)
end
-- What this node alone refused, after other commands of the batch ran, or answered to a user's script: it makes the history another one. (I2)
local seen_here = ''
-- A node whose clock is behind delivers earlier, and has another history: the time belongs to the digest. (I2)
local delivery_ms = string.match(flags, 't(%d+)')
delivery_ms = delivery_ms and as_text(math.min(tonumber(delivery_ms), now_ms - 2))
local by_op = delivery_ms and stream_commands()
local succeeded = false
-- A key that a user's script uses without naming it: from here on it is one of those that the op names. Once something was written it is too late to give
-- up: what the record does not list goes, as a settle would have it; and what this clock has expired too early makes a history of its own. (I2)
local entered
local function enter(key, wrote)
  if not entered then
    entered = {}
    for i = 2, #KEYS do entered[KEYS[i]] = true end
  end
  if entered[key] then return nil end
  local entry = redis.call('HGET', record, 'k' .. key)
  local give_up, is_due = give_up_on(entry, key, op_ms)
  if give_up and not wrote and not succeeded then return give_up end
  if give_up and entry then seen_here = seen_here .. key
  elseif give_up or is_due then redis.call('UNLINK', key) end
  entered[key] = true
  KEYS[#KEYS + 1] = key
  entries[#KEYS] = entry
end
-- An expiry that has passed here, and perhaps not elsewhere: whether the keys are there after each command makes the history another one.
local near = lowest_expiry_ms > 0 and lowest_expiry_ms <= now_ms + 5 and commands > 1
-- One that has passed by the op's time, and perhaps not here: the commands behind it find no key.
local passed = lowest_expiry_ms > 0 and lowest_expiry_ms <= op_ms and commands > 1
local replies, at = {}, 13
for i = 1, commands do
  local argc, is_script = tonumber(ARGV[at]), ARGV[at + 1] == 'EVAL'
  local taker = takers[ARGV[at + 1]]
  local timed = by_op and by_op[string.upper(ARGV[at + 1])]
  local reply, refused, changed
  if is_script then
    local seen, given_up
    reply, changed, seen, refused, given_up = run_user(at + 1, argc, op_ms, op .. ballot, read_only, enter, by_op or stream_commands())
    if given_up then return given_up end
    seen_here = seen_here .. seen
  elseif taker then
    reply, changed = taker({unpack(ARGV, at + 1, at + argc)})
  elseif timed then
    local ran, later, unchanged
    ran, reply, later, unchanged = pcall(timed, {unpack(ARGV, at + 1, at + argc)}, as_text(op_ms), delivery_ms)
    if not ran then reply = type(reply) == 'table' and reply or {err = tostring(reply)} end
    if ran and later then seen_here = seen_here .. i .. later .. time[1] .. time[2] end
    changed = ran and not unchanged
  else
    reply, changed = redis.pcall(unpack(ARGV, at + 1, at + argc)), true
  end
  local failure = error_of(reply)
  if not is_script then
    changed = changed and not failure
    refused = failure and is_refusal(failure) and failure
  end
  succeeded = succeeded or changed
  if not failure then
    if not is_script then reply = exact(reply, at + 1) end
  elseif not succeeded and refused then
    return {'REFUSED', refused}
  else
    if refused then seen_here = seen_here .. i .. refused end
    reply = {err = failure}
  end
  if passed then
    for j = 2, #KEYS do
      local expiry = expiry_of(KEYS[j])
      if expiry >= 0 and expiry <= op_ms then redis.call('UNLINK', KEYS[j]) end
    end
  end
  if near then
    for j = 2, #KEYS do seen_here = seen_here .. redis.call('EXISTS', KEYS[j]) end
  end
  replies[i] = reply
  at = at + 1 + argc
end

if read_only or not succeeded then
  if not exists and not keep then return {'ABSENT', replies} end
  local refused = promise()
  if refused then return {'REFUSED', refused} end
  return ack('', digest, replies)
end

local fields, lost, alive = {}, {}, false
for i = 2, #KEYS do
  local key, expiry = KEYS[i], expiry_of(KEYS[i])
  if expiry >= 0 and expiry <= op_ms then
    redis.call('UNLINK', key)
    expiry = -2
  end
  if expiry ~= -2 then
    alive = true
    local entry = expiry == -1 and '0' or as_text(expiry)
    if entry ~= entries[i] then
      fields[#fields + 1] = 'k' .. key
      fields[#fields + 1] = entry
    end
  elseif entries[i] then
    lost[#lost + 1] = 'k' .. key
  end
end
if not exists and not alive and not keep then return {'ABSENT', replies} end

local base = digest
local packed = cmsgpack.pack(replies)
version = as_text(tonumber(version) + 1)
digest = string.sub(redis.sha1hex(base .. op .. ballot .. (hash and packed or '') .. (delivery_ms or '') .. seen_here), 1, 32) -- I2
remembered[#remembered + 1] = {sequence, ballot, #packed <= reply_limit and packed}
if not multi then
  for i = 2, #KEYS do
    if record ~= 'anrcho_version:{' .. KEYS[i] .. '}' then multi = '1' end
  end
end
if multi then
  local changed = {}
  for i = 2, #KEYS do changed[i - 1] = KEYS[i] end
  redis.call('HSET', record, 'm', '1', 'l' .. tonumber(version) % log_length(record), cmsgpack.pack({version, digest, changed}))
end
for i = 1, #fields, 2 do
  if i > 2 then redis.call('HSET', record, fields[i], fields[i + 1]) end
end
for i = 1, #lost do redis.call('HDEL', record, lost[i]) end
redis.call('HSET', record, 'p', ballot, 'v', version, 'd', digest, 'o', cmsgpack.pack(remembered), fields[1] or 'v', fields[2] or version)
if wake then tell_waiters(record, version) end
return ack(ballot, base, replies)
