-- look: runs read-only commands on the register of KEYS[first], whose keys are KEYS[first + 1] to KEYS[last]; they begin at ARGV[at]. Answers what `read` answers.
local function run_read(first, last, at_ms, commands, at)
  local record, due = KEYS[first], '0'
  local head, entries = load_record(first, last)
  if head and head.version == '0' and redis.call('HEXISTS', record, 'f') == 1 then return {'REFUSED', 'ERR this register is being filled'} end
  local function look_at(entry, key)
    local give_up, is_due = give_up_on(entry, key, at_ms)
    if give_up then return give_up end
    if is_due and redis.call('EXISTS', key) == 1 then return {'EXPIRING', entry} end
    if is_due and tonumber(entry) > tonumber(due) then due = entry end
  end
  for i = first + 1, last do
    local entry = entries[i]
    if entry ~= '0' then
      local give_up = look_at(entry, KEYS[i])
      if give_up then return give_up end
    end
  end
  local replies = {}
  for i = 1, commands do
    local argc, name = tonumber(ARGV[at]), ARGV[at + 1]
    if not argc or argc < 1 then return {'REFUSED', 'ERR a command without a number of arguments'} end
    local reply, _, refused, given_up
    if name == 'EVAL' then
      local function enter(key) return look_at(entry_of(record, head, key), key) end
      reply, _, _, refused, given_up = run_user(at + 1, argc, at_ms, ARGV[3], true, enter)
      if given_up then return given_up end
    else
      reply = redis.pcall(unpack(ARGV, at + 1, at + argc))
    end
    local failure = type(reply) == 'table' and error_of(reply)
    if failure then
      if refused or name ~= 'EVAL' and is_refusal(failure) then return {'REFUSED', failure} end
      reply = {err = failure}
    end
    replies[i] = reply
    at = at + 1 + argc
  end
  if not head then return {'ABSENT', replies} end
  return {'READ', head.promised, head.accepted, head.settled, head.version, head.digest, due, replies}
end
