-- log: how many versions a register of several keys remembers. One of many keys has much to lose by a repair of all of them.
local function log_length(record) return redis.call('HLEN', record) > 1000 and 4096 or 32 end
