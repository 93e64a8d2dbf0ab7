-- stream: what stream commands would take from the node's clock (P20), taken from the op. Redis sends its replicas the same effects.
-- stream_commands answers them by name, each a function of its words, the op's time and the time of delivery (both ms, as text), which gives the
-- reply, what this node alone refused after it had begun, if anything, and whether nothing changed. It raises what is refused before.
-- The time of delivery is not after the node's clock, which XCLAIM would put in its place.
local function stream_commands()
  local by_op = {}
  -- The decimal text of a 64-bit number, plus one.
  local function successor(digits)
    local head = string.match(digits, '^(.-)9*$')
    local zeros = string.rep('0', #digits - #head)
    if head == '' then return '1' .. zeros end
    return string.sub(head, 1, -2) .. tonumber(string.sub(head, -1)) + 1 .. zeros
  end
  local function id_after(id)
    local ms, sequence = string.match(id, '^(%d+)%-(%d+)$')
    if sequence == '18446744073709551615' then return successor(ms) .. '-0' end
    return ms .. '-' .. successor(sequence)
  end
  -- `*`: the op's time, or the next id where the stream has come as far.
  function by_op.XADD(words, op_ms)
    local at = 3
    while true do
      local option = string.upper(words[at] or '')
      if option == 'NOMKSTREAM' then at = at + 1
      elseif option == 'MAXLEN' or option == 'MINID' then at = at + (string.find(words[at + 1] or '', '^[=~]$') and 3 or 2)
      elseif option == 'LIMIT' then at = at + 2
      else break end
    end
    if words[at] ~= '*' then return redis.pcall(unpack(words)) end
    words[at] = op_ms .. '-0'
    local reply = redis.pcall(unpack(words))
    if not string.find(error_of(reply) or '', 'equal or smaller', 1, true) then return reply end
    local info = redis.call('XINFO', 'STREAM', words[2])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then words[at] = id_after(info[i + 1]) end
    end
    return redis.pcall(unpack(words))
  end
  -- Claims whatever the idle times are; without ids it still fails as it would with some, and takes LASTID.
  local just_ids = {[1] = 'JUSTID'}
  local function claim(key, group, consumer, ids, time_ms, options)
    local claimed = {}
    for from = 1, math.max(#ids, 1), 6000 do
      local command = {key, group, consumer, '0', ids[from] or '0-0'}
      for i = from + 1, math.min(from + 5999, #ids) do command[#command + 1] = ids[i] end
      for i = 1, #options do command[#command + 1] = options[i] end
      command[#command + 1] = 'TIME'
      command[#command + 1] = time_ms
      local reply = redis.pcall('XCLAIM', unpack(command))
      if error_of(reply) then return reply end
      for i = 1, #reply do claimed[#claimed + 1] = reply[i] end
    end
    return claimed
  end
  -- Versions differ in when a command creates its consumer (since 7.2 also where it finds nothing), so it is there before. Answers the reply of
  -- `deliver`, and whether a consumer is new. XACK comes first, because it is not refused for want of memory, and then nothing is.
  local function deliver_to(keys, group, consumer, deliver)
    redis.pcall('XACK', keys[1], group, '0-0')
    local made, refused = {}, nil
    for i = 1, #keys do
      local reply = redis.pcall('XGROUP', 'CREATECONSUMER', keys[i], group, consumer)
      if reply == 1 then made[#made + 1] = keys[i] end
      if is_refusal(error_of(reply) or '') then refused = reply end
    end
    local reply = refused or deliver()
    if error_of(reply) then
      for i = 1, #made do redis.call('XGROUP', 'DELCONSUMER', made[i], group, consumer) end
    end
    return reply, #made > 0
  end
  -- As part of an op it still changes nothing: who blocks reads under a ballot, and leaves no version behind.
  function by_op.XREAD(words) return redis.pcall(unpack(words)), nil, true end
  function by_op.XREADGROUP(words, _, delivery_ms)
    local group, consumer, noack, at = nil, nil, false, 2
    while words[at] and string.upper(words[at]) ~= 'STREAMS' do
      local option = string.upper(words[at])
      if option == 'GROUP' then group, consumer = words[at + 1], words[at + 2] end
      noack = noack or option == 'NOACK'
      at = at + (option == 'GROUP' and 3 or option == 'NOACK' and 1 or 2)
    end
    local keys, acknowledged = {}, {}
    for i = 1, (#words - at) / 2 do keys[i] = words[at + i] end
    if not consumer or #keys == 0 then return redis.pcall(unpack(words)) end
    for i = 1, #keys do acknowledged[keys[i]] = noack and words[at + #keys + i] == '>' end
    local reply, changed = deliver_to(keys, group, consumer, function() return redis.pcall(unpack(words)) end)
    if error_of(reply) then return reply end
    local refused
    for _, stream in ipairs(reply or {}) do
      local ids = {}
      for _, entry in ipairs(stream[2]) do
        if entry[2] then ids[#ids + 1] = entry[1] end -- what was deleted meanwhile is shown, not delivered
      end
      if #ids > 0 and not acknowledged[stream[1]] then
        refused = error_of(claim(stream[1], group, consumer, ids, delivery_ms, just_ids)) or refused
      end
      changed = changed or #ids > 0
    end
    return reply, refused, not changed
  end
  -- Pending entries {id, consumer, idle ms, deliveries}, or an error; idle at the time of delivery, whatever the node's clock says.
  local function pending(key, group, from, to, count, delivery_ms)
    while true do
      local before = redis.call('TIME')
      local rows = redis.pcall('XPENDING', key, group, from, to, count)
      local after = redis.call('TIME')
      if error_of(rows) then return rows end
      if before[1] == after[1] and math.floor(before[2] / 1000) == math.floor(after[2] / 1000) then
        local since_ms = before[1] * 1000 + math.floor(before[2] / 1000) - tonumber(delivery_ms)
        for i = 1, #rows do rows[i][3] = rows[i][3] - since_ms end
        return rows
      end
    end
  end
  local function is_there(key, id) return #redis.call('XRANGE', key, id, id) > 0 end
  -- Versions before 7.0 deliver entries that were deleted; newer ones take them off the list of pending ones.
  local function forget(key, group, ids)
    local refused
    for i = 1, #ids do refused = error_of(redis.pcall('XACK', key, group, ids[i])) or refused end
    return refused
  end
  function by_op.XCLAIM(words, _, delivery_ms)
    local key, group, consumer, min_idle_ms = words[2], words[3], words[4], tonumber(words[5])
    local found = pending(key, group, '-', '+', '1', delivery_ms)
    if error_of(found) then return found end
    if not min_idle_ms then return redis.pcall(unpack(words)) end
    local at, ids, gone, seen = 6, {}, {}, {}
    while string.find(words[at] or '', '^%d') do
      local id = string.find(words[at], '-', 1, true) and words[at] or words[at] .. '-0'
      local row = min_idle_ms > 0 and pending(key, group, id, id, '1', delivery_ms)[1]
      if not is_there(key, id) then gone[#gone + 1] = id
      elseif min_idle_ms <= 0 or not (seen[id] or row and row[3] < min_idle_ms) then ids[#ids + 1] = id end
      at, seen[id] = at + 1, true
    end
    local options, time_ms = {}, tonumber(delivery_ms)
    while words[at] do
      local option = string.upper(words[at])
      local value = tonumber(words[at + 1])
      if option == 'TIME' and value then time_ms = value
      elseif option == 'IDLE' and value then time_ms = tonumber(delivery_ms) - value
      else
        options[#options + 1] = option
        if option == 'RETRYCOUNT' or option == 'LASTID' then options[#options + 1] = words[at + 1] end
      end
      at = at + ((option == 'FORCE' or option == 'JUSTID') and 1 or 2)
    end
    if time_ms < 0 or time_ms > tonumber(delivery_ms) then time_ms = tonumber(delivery_ms) end
    local reply = deliver_to({key}, group, consumer, function()
      return claim(key, group, consumer, ids, as_text(time_ms), options)
    end)
    if error_of(reply) then return reply end
    return reply, forget(key, group, gone)
  end
  -- From `from` on: ids to claim, ids of deleted entries, and the id to go on from. Ten times as many as asked for are looked at.
  local function idle_since(key, group, from, count, min_idle_ms, delivery_ms)
    local ids, gone, looks = {}, {}, count * 10
    local page = pending(key, group, from, '+', '100', delivery_ms)
    if error_of(page) then return page end
    while #page > 0 do
      for i = 1, #page do
        local id = page[i][1]
        if looks == 0 or #ids + #gone == count then return nil, ids, gone, id end
        looks = looks - 1
        if not is_there(key, id) then gone[#gone + 1] = id
        elseif min_idle_ms <= 0 or page[i][3] >= min_idle_ms then ids[#ids + 1] = id end
      end
      page = pending(key, group, '(' .. page[#page][1], '+', '100', delivery_ms)
    end
    return nil, ids, gone, '0-0'
  end
  function by_op.XAUTOCLAIM(words, _, delivery_ms)
    local key, group, consumer, at, count = words[2], words[3], words[4], 7, 100
    local options = {}
    while words[at] do
      if string.upper(words[at]) == 'JUSTID' then options = just_ids else count = tonumber(words[at + 1]) end
      at = at + (string.upper(words[at]) == 'JUSTID' and 1 or 2)
    end
    local min_idle_ms = tonumber(words[5])
    if not (count and min_idle_ms) then return redis.pcall(unpack(words)) end
    local failed, ids, gone, following = idle_since(key, group, words[6], count, min_idle_ms, delivery_ms)
    if failed then return failed end
    local reply, is_new = deliver_to({key}, group, consumer, function()
      return claim(key, group, consumer, ids, delivery_ms, options)
    end)
    if error_of(reply) then return reply end
    return {following, reply, gone}, forget(key, group, gone), #ids + #gone == 0 and not is_new
  end
  return by_op
end
