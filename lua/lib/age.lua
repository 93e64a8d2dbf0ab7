-- age: how old a ballot may be for a node that has no record of the register. It may have purged one, and a promise with it; all that such a promise
-- turned away is older than the cluster's purge age (anrcho_node, purge_age_ms; where that is not set, nothing is purged).
local function older_than_purge_age(ms)
  if ms > now_ms - 1000 then return false end
  local age_ms = tonumber(redis.call('HGET', 'anrcho_node', 'purge_age_ms') or '')
  return age_ms ~= nil and ms < now_ms - age_ms
end
local function time_of(ballot) return tonumber(string.sub(ballot, 1, 13)) or 0 end
