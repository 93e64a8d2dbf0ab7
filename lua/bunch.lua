-- bunch: several calls of `apply`, `read` and `settle confirm` in one, each on a register of its own: what a node pays for a call at all is paid once. No users' scripts, no TAKE, no flag t, no states.
-- USES    fence wake lean seldom text age record confirm expiry deadline log plain op look so_far
-- KEYS    of each call: its record and its keys, as in `apply` and `read`
-- ARGV    1 fence; 2 the latest of the deadlines, ms; 3 reply limit bytes; 4 retry window ms; 5 max clock offset ms; then of each call: its deadline ms; ballot ('' a read); op id, or the time ms that the read
--         is at; shape; argc, args of each command. shape: number of its keys, number of its commands, lowest absolute expiry ms that they set (0 none), digest that it holds at or '*', flags; with a comma between.
--         Of a confirmation: digest in place of the op id, no keys, no commands, and as flags 'c', or 'c1' where this node is to remember that another one missed it
-- REPLY   {'BUNCH', ...} and behind it of each call, in their order, what `apply`, `read` or `settle` would have answered: {'ABSENT', replies} {'NACK', promised} {'EXPIRING', expiry ms} {'STRAY', key}
--         {'AHEAD', now ms} {'REFUSED', error} {'EXPIRED', now ms} {'SETTLED'} {'NEEDS_STATE', version, digest} {'CONFLICT', digest}; of {'ACK', ...} and {'READ', ...} with replies two items: the text
--         'ACK accepted settled version digest ran base' or 'READ promised accepted settled version digest due', and the reply, or of several commands an array of them.
--         Where the arguments of a call do not add up, those behind it have no answer, and did not run
--         {'FENCED'} {'EXPIRED', now ms}: nothing changed
-- ERRORS  none of its own
local reply_limit, retry_window_ms, max_offset_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local answers, count, key, at = {'BUNCH'}, 1, 1, 6
local run_op, run_read, confirm, error_of
-- A ballot begins with 13 digits of milliseconds; no letter of one is above 'g'.
local latest = string.format('%013.0f', now_ms + max_offset_ms) .. 'g'
-- What most calls have in common is looked at once for all that say the same.
local shape, keys, commands, lowest, expected, flags, deadline, is_late = '1,1,0,*,', 1, 1, 0, '*', '', ARGV[2], false
local argc_text, argc
while ARGV[at] do
  if ARGV[at + 3] ~= shape then
    shape = ARGV[at + 3]
    keys, commands, lowest, expected, flags = string.match(shape or '', '^(%d+),(%d+),(%d+),([^,]*),(.*)$')
    keys, commands, lowest = tonumber(keys), tonumber(commands), tonumber(lowest)
  end
  if ARGV[at] ~= deadline then
    deadline = ARGV[at]
    is_late = now_ms > tonumber(deadline)
  end
  local first, behind = at + 4, at + 4
  for _ = 1, commands or 1 do
    if ARGV[behind] ~= argc_text then argc_text, argc = ARGV[behind], tonumber(ARGV[behind]) end
    -- What follows cannot be told apart: it has no answer.
    if not commands or not argc or argc < 1 then
      answers[count + 1] = {'REFUSED', 'ERR the arguments do not add up'}
      return answers
    end
    behind = behind + 1 + argc
  end
  local ran, line, answer = true, nil, nil
  if is_late then answer = {'EXPIRED', string.format('%.0f', now_ms)}
  elseif flags == 'c' or flags == 'c1' then ran, line, answer = pcall(confirm_lean, KEYS[key], ARGV[at + 1], ARGV[at + 2], sub(flags, 2))
  elseif shape == '1,1,0,*,' or shape == '1,1,0,*,w' then
    if ARGV[at + 1] == '' then ran, line, answer = pcall(look_lean, KEYS[key], KEYS[key + 1], first, behind)
    else ran, line, answer = pcall(op_lean, KEYS[key], KEYS[key + 1], ARGV[at + 1], ARGV[at + 2], first, behind, flags, reply_limit, retry_window_ms, latest) end
  end
  if not ran then line, answer = nil, {'REFUSED', tostring(line)}
  elseif not line and not answer then
    if not run_op then run_op, run_read, confirm, error_of = seldom() end
    if flags == 'c' or flags == 'c1' then ran, answer = pcall(confirm, KEYS[key], ARGV[at + 1], ARGV[at + 2], sub(flags, 2))
    elseif ARGV[at + 1] == '' then ran, answer = pcall(run_read, key, key + keys, tonumber(ARGV[at + 2]), commands, first)
    else ran, answer = pcall(run_op, key, key + keys, ARGV[at + 1], ARGV[at + 2], flags, expected, 0, reply_limit, retry_window_ms, max_offset_ms, lowest, commands, first) end
    if not ran then answer = {'REFUSED', type(answer) == 'table' and error_of(answer) or tostring(answer)}
    elseif answer[8] and type(answer[8]) == 'table' then
      line = table.concat(answer, ' ', 1, 7)
      answer = answer[8]
      if commands == 1 then answer = answer[1] end
    end
  end
  if line then
    count = count + 1
    answers[count] = line
  end
  count = count + 1
  answers[count] = answer
  key, at = key + keys + 1, behind
end
return answers
