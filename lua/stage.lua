-- stage: collect the slices of a large key under a name of its own; a settle with form 'staged' then puts it in place, whole.
-- USES    fence text
-- KEYS    1 record; 2 staging key
-- ARGV    1 fence; 2 deadline ms; 3 form; 4 first ('1': forget what an earlier try left, else '0'), and for a string perhaps '@' and the place of
--         its bytes: the end comes first then, so that the server makes room once; 5 ms until an abandoned stage is dropped; 6.. elements, as snapshot gave them
-- REPLY   {'STAGED', length so far} {'REFUSED', error} {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local stage, form, ttl_ms, place = KEYS[2], ARGV[3], ARGV[5], string.match(ARGV[4], '@(%d+)')
local lengths = {string = 'STRLEN', list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD'}
local commands = {string = 'APPEND', list = 'RPUSH', hash = 'HSET', set = 'SADD', zset = 'ZADD'}
-- The write that a full node refuses comes first: Redis looks at its memory limit only then.
local refused = error_of(redis.pcall('SET', stage .. ':probe', '', 'PX', 1))
if refused then return {'REFUSED', refused} end
if string.sub(ARGV[4], 1, 1) == '1' then redis.call('UNLINK', stage) end
if form == 'zset' then
  for i = 6, #ARGV, 2 do ARGV[i], ARGV[i + 1] = ARGV[i + 1], ARGV[i] end
end
if place then redis.call('SETRANGE', stage, place, ARGV[6]) end
for from = place and 7 or 6, #ARGV, 6000 do
  redis.call(commands[form], stage, unpack(ARGV, from, math.min(from + 5999, #ARGV)))
end
redis.call('PEXPIRE', stage, ttl_ms)
return {'STAGED', as_text(redis.call(lengths[form], stage))}
