-- fence: who may be called, and until when. Pasted in front of every script that names an admission.
-- A call of another admission is FENCED; one that sat in a paused node's socket past its deadline is EXPIRED.
local fence, deadline_ms = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('GET', 'anrcho_fence') ~= fence then return {'FENCED'} end
if now_ms > deadline_ms then return {'EXPIRED', string.format('%.0f', now_ms)} end
