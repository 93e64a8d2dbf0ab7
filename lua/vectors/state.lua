-- state: everything that a node holds, for the replay of the vectors. Writes nothing; called by its text, not a script of the contract.
-- USES    nothing
-- KEYS    none
-- ARGV    none
-- REPLY   {{key, type, 'expires' or '', elements}, ...} in the order of the bytes; elements of hashes (field, value) and sets are sorted; of more than 60 only
--         their number is told, of more than 300 bytes their SHA-1; left out: the time in a record's `f`
-- ERRORS  none of its own
local function hex(text) return (string.gsub(text, '.', function(byte) return string.format('%02x', string.byte(byte)) end)) end
local function sorted(list, step)
  local rows, flat = {}, {}
  for i = 1, #list, step do rows[#rows + 1] = {hex(list[i]), i} end
  table.sort(rows, function(one, other) return one[1] < other[1] end)
  for _, row in ipairs(rows) do
    for i = row[2], row[2] + step - 1 do flat[#flat + 1] = list[i] end
  end
  return flat
end
local function stream(key)
  local all = {}
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
    all[#all + 1] = entry[1]
    for _, text in ipairs(entry[2]) do all[#all + 1] = text end
  end
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local name = row[2]
    all[#all + 1] = 'group ' .. name
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do all[#all + 1] = 'consumer ' .. consumer[2] end
    for _, pending in ipairs(redis.call('XPENDING', key, name, '-', '+', '100')) do
      all[#all + 1] = pending[1] .. ' ' .. pending[2] .. ' ' .. pending[4]
    end
  end
  return all
end
local rows = {}
for _, key in ipairs(sorted(redis.call('KEYS', '*'), 1)) do
  local kind, elements = redis.call('TYPE', key).ok, {}
  if kind == 'string' then elements = {redis.call('GET', key)}
  elseif kind == 'list' then elements = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then elements = sorted(redis.call('SMEMBERS', key), 1)
  elseif kind == 'zset' then elements = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'stream' then elements = stream(key)
  elseif kind == 'hash' then
    elements = sorted(redis.call('HGETALL', key), 2)
    for i = 1, #elements, 2 do
      if elements[i] == 'f' and string.sub(key, 1, 7) == 'anrcho_' then elements[i + 1] = string.sub(elements[i + 1], 1, 32) end
    end
  end
  for i, element in ipairs(elements) do
    if #element > 300 then elements[i] = 'sha1 ' .. redis.sha1hex(element) end
  end
  if #elements > 60 then elements = {#elements} end
  if not string.find(key, '^anrcho_stage:.*:probe$') then
    rows[#rows + 1] = {key, kind, redis.call('PTTL', key) >= 0 and 'expires' or '', elements}
  end
end
return rows
