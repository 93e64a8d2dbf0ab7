-- value: makes a key's value of its form and elements, list[first] to list[last]: what lib/state.lua gives. The key does not exist yet.
local adders = {list = 'RPUSH', hash = 'HSET', set = 'SADD'}
local function store_value(key, form, list, first, last)
  if form == 'string' then redis.call('SET', key, list[first]) end
  -- In slices, because unpack takes fewer than 8,000 arguments.
  for from = first, last, 6000 do
    local to = math.min(from + 5999, last)
    if adders[form] then redis.call(adders[form], key, unpack(list, from, to))
    elseif form == 'zset' then
      local pairs_ = {}
      for i = from, to, 2 do
        pairs_[#pairs_ + 1] = list[i + 1]
        pairs_[#pairs_ + 1] = list[i]
      end
      redis.call('ZADD', key, unpack(pairs_))
    end
  end
end
