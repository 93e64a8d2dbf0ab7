-- read: run read-only commands and tell what history they saw. Writes nothing.
-- USES    fence text expiry register user
-- KEYS    1 record; 2.. every key that the commands name, each once; users' scripts may use others of the register too
-- ARGV    1 fence; 2 deadline ms; 3 time ms that the read is at; 4 number of commands; 5.. argc, args of each
-- REPLY   {'READ', promised, accepted, settled, version, digest, replies, due ms} due: the latest expiry among the keys that has passed by the read's time; '0' for none
--         {'ABSENT', replies} no record
--         {'EXPIRING', expiry ms} this node's clock and the read's time disagree on whether a key is alive: use the slow read
--         {'STRAY', key} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local record, at_ms, commands = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local head = load_record(record, {'p', 'a', 's', 'v', 'd', 'f'})
if head[6] then return {'REFUSED', 'ERR this register is being filled'} end
local exists, due = head[1], '0'
local function look_at(entry, key)
  local give_up, is_due = give_up_on(entry, key, at_ms)
  if give_up then return give_up end
  if is_due and redis.call('EXISTS', key) == 1 then return {'EXPIRING', entry} end
  if is_due and tonumber(entry) > tonumber(due) then due = entry end
end
for i = 2, #KEYS do
  local give_up = look_at(head[i + 5], KEYS[i])
  if give_up then return give_up end
end
local function enter(key) return look_at(redis.call('HGET', record, 'k' .. key), key) end
local replies, at = {}, 5
for i = 1, commands do
  local argc = tonumber(ARGV[at])
  if not argc or argc < 1 then return {'REFUSED', 'ERR a command without a number of arguments'} end
  local is_script = ARGV[at + 1] == 'EVAL'
  local reply, _, refused, given_up
  if is_script then
    reply, _, _, refused, given_up = run_user(at + 1, argc, at_ms, ARGV[3], true, enter)
    if given_up then return given_up end
  else
    reply = redis.pcall(unpack(ARGV, at + 1, at + argc))
  end
  local failure = error_of(reply)
  if failure and (refused or not is_script and is_refusal(failure)) then return {'REFUSED', failure} end
  if failure then reply = {err = failure} end
  replies[i] = reply
  at = at + 1 + argc
end
if not exists then return {'ABSENT', replies} end
return {'READ', head[1], head[2] or '', head[3] or '0', head[4] or '0', head[5] or '', replies, due}
