-- deadline: a key's absolute expiry in ms: -1 none, -2 no such key.
local function expiry_of(key)
  if redis.REDIS_VERSION_NUM then return redis.call('PEXPIRETIME', key) end
  -- Before 7.0 there is no PEXPIRETIME: read the remaining time within one millisecond of the clock.
  while true do
    local before = redis.call('TIME')
    local left = redis.call('PTTL', key)
    if left < 0 then return left end
    local after = redis.call('TIME')
    if before[1] == after[1] and math.floor(before[2] / 1000) == math.floor(after[2] / 1000) then
      return before[1] * 1000 + math.floor(before[2] / 1000) + left
    end
  end
end
