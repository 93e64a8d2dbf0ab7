-- entries: a stream in a form that every version reads: {last id, entries added, highest deleted id, number of entries, of each {id, number of
-- texts, texts}, number of groups, of each {name, last delivered id, entries read, number of consumers, their names, number of pending entries, of
-- each {id, consumer, delivered at ms, deliveries}}}, all in one row. What a version does not count is ''.
local function fields_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end
local function elements_of_stream(key)
  local all = {}
  local function add(value) all[#all + 1] = type(value) == 'number' and as_text(value) or value or '' end
  local stream = fields_of(redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', '0'))
  add(stream['last-generated-id'])
  add(stream['entries-added'])
  add(stream['max-deleted-entry-id'])
  add(#stream.entries)
  for _, entry in ipairs(stream.entries) do
    add(entry[1])
    add(#entry[2])
    for _, text in ipairs(entry[2]) do add(text) end
  end
  add(#stream.groups)
  for _, listed in ipairs(stream.groups) do
    local group = fields_of(listed)
    add(group.name)
    add(group['last-delivered-id'])
    add(group['entries-read'])
    add(#group.consumers)
    for _, consumer in ipairs(group.consumers) do add(fields_of(consumer).name) end
    add(#group.pending)
    for _, pending in ipairs(group.pending) do
      for i = 1, 4 do add(pending[i]) end
    end
  end
  return all
end
