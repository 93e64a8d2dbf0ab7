-- rebuild: a stream from the form that lib/entries.lua gives, at ARGV[at] on; answers why it could not, or nothing.
local function padded(id)
  local ms, sequence = string.match(id, '^(%d+)%-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #sequence) .. sequence
end
local function stream_of(at)
  local function take()
    at = at + 1
    return ARGV[at - 1]
  end
  local function take_count()
    local count = tonumber(take())
    return count and count <= #ARGV and count or error({err = 'ERR the arguments of a stream do not add up'})
  end
  local stream = {last = take(), added = take(), deleted = take(), entries = {}, groups = {}}
  for i = 1, take_count() do
    local id, count = take(), take_count()
    stream.entries[i] = {id = id, from = at, to = at + count - 1}
    at = at + count
  end
  for i = 1, take_count() do
    local group = {name = take(), last = take(), read = take(), consumers = {}, pending = {}}
    for j = 1, take_count() do group.consumers[j] = take() end
    for j = 1, take_count() do group.pending[j] = {take(), take(), take(), take()} end
    stream.groups[i] = group
  end
  return stream
end
-- Pending entries that were deleted: they are needed for as long as it takes to put them on the list again.
local function add_deleted(stream)
  local known, count = {}, #stream.entries
  for _, entry in ipairs(stream.entries) do known[entry.id] = true end
  for _, group in ipairs(stream.groups) do
    for _, pending in ipairs(group.pending) do
      if not known[pending[1]] then stream.entries[#stream.entries + 1] = {id = pending[1]} end
      known[pending[1]] = true
    end
  end
  if #stream.entries == count then return end
  for _, entry in ipairs(stream.entries) do entry.place = padded(entry.id) end
  table.sort(stream.entries, function(one, other) return one.place < other.place end)
end
local function build(key, stream)
  -- What Redis 7.0 counts; an older server does not know these options.
  local counts = redis.REDIS_VERSION_NUM
  local added = stream.added ~= '' and stream.added or as_text(#stream.entries)
  -- The first write: a full node refuses it.
  redis.call('XGROUP', 'CREATE', key, 'none', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', key, 'none')
  add_deleted(stream)
  for _, entry in ipairs(stream.entries) do
    if entry.from then redis.call('XADD', key, entry.id, unpack(ARGV, entry.from, entry.to))
    else redis.call('XADD', key, entry.id, '', '') end
  end
  for _, group in ipairs(stream.groups) do
    if counts and group.read ~= '' then redis.call('XGROUP', 'CREATE', key, group.name, group.last, 'ENTRIESREAD', group.read)
    else redis.call('XGROUP', 'CREATE', key, group.name, group.last) end
    for _, consumer in ipairs(group.consumers) do redis.call('XGROUP', 'CREATECONSUMER', key, group.name, consumer) end
    for _, pending in ipairs(group.pending) do
      local id, consumer, at_ms, deliveries = unpack(pending)
      if tonumber(at_ms) > now_ms - 2 then error({err = 'ERR an entry was delivered later than the clock of this node'}) end
      redis.call('XCLAIM', key, group.name, consumer, '0', id, 'TIME', at_ms, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
    end
  end
  for _, entry in ipairs(stream.entries) do
    if not entry.from then redis.call('XDEL', key, entry.id) end
  end
  if not counts then redis.call('XSETID', key, stream.last)
  else redis.call('XSETID', key, stream.last, 'ENTRIESADDED', added, 'MAXDELETEDID', stream.deleted ~= '' and stream.deleted or '0-0') end
end
local function rebuild(key, at)
  local built, why = pcall(function() build(key, stream_of(at)) end)
  if built then return nil end
  return error_of(type(why) == 'table' and why or {err = tostring(why)})
end
