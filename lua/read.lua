-- read: run read-only commands and tell what history they saw. Writes nothing.
-- USES    fence text record expiry register user look
-- KEYS    1 record; 2.. every key that the commands name, each once; users' scripts may use others of the register too
-- ARGV    1 fence; 2 deadline ms; 3 time ms that the read is at; 4 number of commands; 5.. argc, args of each
-- REPLY   {'READ', promised, accepted, settled, version, digest, replies, due ms} due: the latest expiry among the keys that has passed by the read's time; '0' for none
--         {'ABSENT', replies} no record
--         {'EXPIRING', expiry ms} this node's clock and the read's time disagree on whether a key is alive: use the slow read
--         {'STRAY', key} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local answer = run_read(1, #KEYS, tonumber(ARGV[3]), tonumber(ARGV[4]), 5)
if answer[1] == 'READ' then answer[7], answer[8] = answer[8], answer[7] end
return answer
