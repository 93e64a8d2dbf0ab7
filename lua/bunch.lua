-- bunch: several calls of `apply` and `read` in one, each on a register of its own: what a node pays for a call at all is paid once. No users' scripts, no TAKE, no flag t, no states.
-- USES    fence text age expiry deadline log plain wake op look
-- KEYS    of each call: its record and its keys, as in `apply` and `read`
-- ARGV    1 fence; 2 the latest of the deadlines, ms; 3 reply limit bytes; 4 retry window ms; 5 max clock offset ms; then of each call: its deadline ms; ballot ('' a read); op id, or the time ms that the read
--         is at; shape; argc, args of each command. shape: number of its keys, number of its commands, lowest absolute expiry ms that they set (0 none), digest that it holds at or '*', flags; with a comma between
-- REPLY   {'BUNCH', ...} and behind it of each call, in their order, what `apply` or `read` would have answered: {'ABSENT', replies} {'NACK', promised} {'EXPIRING', expiry ms} {'STRAY', key}
--         {'AHEAD', now ms} {'REFUSED', error} {'EXPIRED', now ms}; of {'ACK', ...} and {'READ', ...} with replies two items: the text 'ACK accepted settled version digest ran base' or
--         'READ promised accepted settled version digest due', and the reply, or of several commands an array of them. Where the arguments of a call do not add up, those behind it have no answer, and did not run
--         {'FENCED'} {'EXPIRED', now ms}: nothing changed
-- ERRORS  none of its own
local reply_limit, retry_window_ms, max_offset_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local answers, count, key, at = {'BUNCH'}, 1, 1, 6
local shape, keys, commands, lowest, expected, flags
while ARGV[at] do
  if ARGV[at + 3] ~= shape then
    shape = ARGV[at + 3]
    keys, commands, lowest, expected, flags = string.match(shape or '', '^(%d+),(%d+),(%d+),([^,]*),(.*)$')
    keys, commands, lowest = tonumber(keys), tonumber(commands), tonumber(lowest)
  end
  local first, behind = at + 4, at + 4
  for _ = 1, commands or 1 do
    local argc = commands and tonumber(ARGV[behind])
    -- What follows cannot be told apart: it has no answer.
    if not argc or argc < 1 then
      answers[count + 1] = {'REFUSED', 'ERR the arguments do not add up'}
      return answers
    end
    behind = behind + 1 + argc
  end
  local ran, answer
  if now_ms > tonumber(ARGV[at]) then ran, answer = true, {'EXPIRED', as_text(now_ms)}
  elseif ARGV[at + 1] == '' then ran, answer = pcall(run_read, key, key + keys, tonumber(ARGV[at + 2]), commands, first)
  else ran, answer = pcall(run_op, key, key + keys, ARGV[at + 1], ARGV[at + 2], flags, expected, 0, reply_limit, retry_window_ms, max_offset_ms, lowest, commands, first) end
  if not ran then answer = {'REFUSED', type(answer) == 'table' and error_of(answer) or tostring(answer)}
  elseif answer[8] and type(answer[8]) == 'table' then
    count = count + 1
    answers[count] = table.concat(answer, ' ', 1, 7)
    answer = answer[8]
    if commands == 1 then answer = answer[1] end
  end
  count = count + 1
  answers[count] = answer
  key, at = key + keys + 1, behind
end
return answers
