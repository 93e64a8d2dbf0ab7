-- wake: tells those who wait for a register to grow. Nobody may hear it, and an ACL may forbid it: neither is a reason for the script to fail.
local function tell_waiters(record, version) redis.pcall('PUBLISH', 'anrcho_wake:' .. string.sub(record, 16), version) end
