-- op: promises a ballot and runs one op on the register of KEYS[first], whose keys are KEYS[first + 1] to KEYS[last]; its commands begin at ARGV[at].
-- Answers what `apply` answers. Most calls are one plain command on one key: whatever only others need is made where it is needed.
local huge = math.huge
-- A ballot begins with 16 digits of microseconds.
local function ms_of(text) return tonumber(string.sub(text, 1, 13)) end
-- The promise alone; it is the first write of the op, so a full node says so here.
local function promise(record, head, ballot)
  promise_in(record, head, ballot)
  return save_head(record, head)
end
local function states_of(first, last, limit)
  local all, total = {}, 0
  for i = first + 1, last do
    local key, form = KEYS[i], form_of(KEYS[i])
    local elements, size = elements_within(key, form, limit - total, limit)
    if not elements or total + size > limit then return {} end
    total = total + size
    all[i - first] = {key, form, as_text(math.max(expiry_of(key), 0)), elements}
  end
  return all
end
-- Integers are exact to 2^53 here; beyond it the value itself is read back as text.
local function exact(reply, at)
  local name = string.upper(ARGV[at])
  if name == 'HINCRBY' then return redis.call('HGET', ARGV[at + 1], ARGV[at + 2]) end
  if string.find(name, '^INCR') or string.find(name, '^DECR') then return redis.call('GET', ARGV[at + 1]) end
  return as_text(reply)
end
-- Commands of so many words or more that leave their one key there where they succeed, and touch no expiry; SET and ZADD of just so many, and SET leaves none.
local lasting = {SET = 3, APPEND = 3, ZADD = 4, INCR = 2, INCRBY = 3, DECR = 2, DECRBY = 3, LPUSH = 3, RPUSH = 3, SADD = 3, HSET = 4, HINCRBY = 4}
local function run_op(first, last, ballot, op, flags, expected, state_limit, reply_limit, retry_window_ms, max_offset_ms, lowest_expiry_ms, commands, at)
  if #ballot ~= 33 or #op ~= 33 then return {'REFUSED', 'ERR no ballot or op id'} end
  local record, op_ms = KEYS[first], ms_of(ballot)
  local holds_until_ms, keep, read_only, hash, wake = huge, nil, nil, nil, nil
  if expected ~= '*' then
    local limit = string.find(expected, '<', 1, true)
    if limit then expected, holds_until_ms = string.sub(expected, 1, limit - 1), tonumber(string.sub(expected, limit + 1)) end
  end
  if flags ~= '' then
    keep, read_only, hash = string.find(flags, 'k', 1, true), string.find(flags, 'r', 1, true), string.find(flags, 'h', 1, true)
    wake = string.find(flags, 'w', 1, true)
  end

  local head, entries = load_record(first, last)
  local exists = head
  head = head or no_head()
  local promised, accepted, settled, version, digest = head.promised, head.accepted, head.settled, head.version, head.digest
  if ballot <= promised then return {'NACK', promised} end -- I1
  if op_ms > now_ms + max_offset_ms then return {'AHEAD', as_text(now_ms)} end
  if not exists and older_than_purge_age(op_ms) then return {'EXPIRED', as_text(now_ms)} end

  -- A node that is being filled has no history, and values of parts of another: it promises, and that is all.
  if version == '0' and exists and redis.call('HEXISTS', record, 'f') == 1 then
    local refused = promise(record, head, ballot)
    if refused then return {'REFUSED', refused} end
    return {'ACK', accepted, settled, version, digest, '', digest, 'MISMATCH', {}}
  end

  -- The ops that this history remembers, one per coordinator (I5). A coordinator's ballots carry its id, so the id is not kept twice.
  local coordinator, sequence = string.sub(op, 1, 16), string.sub(op, 18)
  local remembered = {}
  if not read_only then
    for _, entry in ipairs(remembered_by(record, head)) do
      if string.sub(entry[2], 18) ~= coordinator then
        if ms_of(entry[2]) >= op_ms - retry_window_ms then remembered[#remembered + 1] = entry end
      elseif entry[1] == sequence then
        local refused = promise(record, head, ballot)
        if refused then return {'REFUSED', refused} end
        local states = state_limit == 0 and {} or states_of(first, last, state_limit)
        return {'ACK', accepted, settled, version, digest, entry[2], '', entry[3] and cmsgpack.unpack(entry[3]), states}
      elseif sequence < entry[1] then
        return {'NACK', promised} -- a copy that arrives after its coordinator went on to the next op
      end
    end
  end

  -- Decide, then write: all checks stand above the first write, because nothing rolls back.
  local behind = at
  for _ = 1, commands do
    local argc = tonumber(ARGV[behind])
    if not argc or argc < 1 then return {'REFUSED', 'ERR a command without a number of arguments'} end
    if argc > 7900 then return {'REFUSED', 'ERR a command of ' .. argc .. ' arguments: a script takes 7900, split it'} end
    behind = behind + 1 + argc
  end
  local due
  for i = first + 1, last do
    local entry = entries[i]
    if entry ~= '0' then
      local give_up, is_due = give_up_on(entry, KEYS[i], op_ms)
      if give_up then return give_up end
      if is_due then
        due = due or {}
        due[#due + 1] = KEYS[i]
      end
    end
  end
  if lowest_expiry_ms > op_ms and lowest_expiry_ms <= now_ms + 5 then return {'EXPIRING', as_text(lowest_expiry_ms)} end
  if expected ~= '*' and expected ~= digest or op_ms >= holds_until_ms then
    if not exists and not keep then return {'ABSENT', 'MISMATCH'} end
    local refused = promise(record, head, ballot)
    if refused then return {'REFUSED', refused} end
    local states = state_limit == 0 and {} or states_of(first, last, state_limit)
    return {'ACK', accepted, settled, version, digest, '', digest, 'MISMATCH', states}
  end

  if due then
    for i = 1, #due do redis.call('UNLINK', due[i]) end
  end
  -- What this node alone refused, after other commands of the batch ran, or answered to a user's script: it makes the history another one. (I2)
  local seen_here = ''
  -- A node whose clock is behind delivers earlier, and has another history: the time belongs to the digest. (I2)
  local delivery_ms, by_op
  if flags ~= '' then delivery_ms = string.match(flags, 't(%d+)') end
  if delivery_ms then delivery_ms, by_op = as_text(math.min(tonumber(delivery_ms), now_ms - 2)), stream_commands() end
  local succeeded = false
  -- An expiry that has passed here, and perhaps not elsewhere: whether the keys are there after each command makes the history another one.
  local near = lowest_expiry_ms > 0 and lowest_expiry_ms <= now_ms + 5 and commands > 1
  -- One that has passed by the op's time, and perhaps not here: the commands behind it find no key.
  local passed = lowest_expiry_ms > 0 and lowest_expiry_ms <= op_ms and commands > 1
  local replies, lasts, clears = {}, last == first + 1, false
  for i = 1, commands do
    local argc, name = tonumber(ARGV[at]), ARGV[at + 1]
    local timed = by_op and by_op[string.upper(name)]
    local reply, refused, changed
    if lasting[name] then
      reply, changed = redis.pcall(unpack(ARGV, at + 1, at + argc)), true
      lasts = lasts and argc >= lasting[name] and (name ~= 'SET' and name ~= 'ZADD' or argc == lasting[name])
      clears = clears or name == 'SET'
    elseif name == 'EVAL' then
      -- A key that a user's script uses without naming it: from here on it is one of those that the op names. Once something was written it is too late to
      -- give up: what the record does not list goes, as a settle would have it; and what this clock has expired too early makes a history of its own. (I2)
      local entered, seen, given_up = {}, nil, nil
      for j = first + 1, last do entered[KEYS[j]] = true end
      local function enter(key, wrote)
        if entered[key] then return nil end
        local entry = entry_of(record, exists, key)
        local give_up, is_due = give_up_on(entry, key, op_ms)
        if give_up and (read_only or not wrote and not succeeded) then return give_up end
        if give_up and entry then seen_here = seen_here .. key
        elseif give_up or is_due then redis.call('UNLINK', key) end
        entered[key] = true
        last = last + 1
        KEYS[last] = key
        entries[last] = entry
      end
      reply, changed, seen, refused, given_up = run_user(at + 1, argc, op_ms, op .. ballot, read_only, enter, by_op or stream_commands())
      if given_up then return given_up end
      seen_here, lasts = seen_here .. seen, false
    elseif name == 'TAKE' or name == 'TAKEMOVE' then
      reply, changed = takers()[name]({unpack(ARGV, at + 1, at + argc)})
      lasts = false
    elseif timed then
      local ran, later, unchanged
      ran, reply, later, unchanged = pcall(timed, {unpack(ARGV, at + 1, at + argc)}, as_text(op_ms), delivery_ms)
      if not ran then reply = type(reply) == 'table' and reply or {err = tostring(reply)} end
      if ran and later then seen_here = seen_here .. i .. later .. time[1] .. time[2] end
      changed, lasts = ran and not unchanged, false
    else
      reply, changed, lasts = redis.pcall(unpack(ARGV, at + 1, at + argc)), true, false
    end
    local failure = type(reply) == 'table' and error_of(reply)
    if name ~= 'EVAL' then
      changed = changed and not failure
      refused = failure and is_refusal(failure) and failure
    end
    succeeded = succeeded or changed
    if not failure then
      if type(reply) == 'number' and (reply >= 9007199254740992 or reply <= -9007199254740992) and name ~= 'EVAL' then reply = exact(reply, at + 1) end
    elseif not succeeded and refused then
      return {'REFUSED', refused}
    else
      if refused then seen_here = seen_here .. i .. refused end
      reply, lasts = {err = failure}, false
    end
    if passed then
      for j = first + 1, last do
        local expiry = expiry_of(KEYS[j])
        if expiry >= 0 and expiry <= op_ms then redis.call('UNLINK', KEYS[j]) end
      end
    end
    if near then
      for j = first + 1, last do seen_here = seen_here .. redis.call('EXISTS', KEYS[j]) end
    end
    replies[i] = reply
    at = at + 1 + argc
  end

  if read_only or not succeeded then
    if not exists and not keep then return {'ABSENT', replies} end
    local refused = promise(record, head, ballot)
    if refused then return {'REFUSED', refused} end
    local states = state_limit == 0 and {} or states_of(first, last, state_limit)
    return {'ACK', accepted, settled, version, digest, '', digest, replies, states}
  end

  local fields, lost, alive, own = {}, {}, false, head.entry
  local many = head.entry == 'm'
  for i = first + 1, last do
    local key, old, expiry = KEYS[i], entries[i], nil
    many = many or not is_id(record, key)
    if lasts and (clears or not old or old == '0') then expiry = -1
    else expiry = expiry_of(key) end
    if expiry >= 0 and expiry <= op_ms then
      redis.call('UNLINK', key)
      expiry = -2
    end
    if expiry ~= -2 then
      alive, own = true, expiry == -1 and '0' or as_text(expiry)
      if own ~= old then fields[#fields + 1], fields[#fields + 2] = 'k' .. key, own end
    else
      own = ''
      if old then lost[#lost + 1] = 'k' .. key end
    end
  end
  if not exists and not alive and not keep then return {'ABSENT', replies} end

  local base, packed = digest, cmsgpack.pack(replies)
  version = string.format('%d', version + 1)
  digest = string.sub(redis.sha1hex(base .. op .. ballot .. (hash and packed or '') .. (delivery_ms or '') .. seen_here), 1, 32) -- I2
  remembered[#remembered + 1] = {sequence, ballot, #packed <= reply_limit and packed}
  head.promised, head.version, head.digest = ballot, version, digest
  remember(head, remembered)
  if many then list_many(head) else head.entry = own end
  local unwritten = save_head(record, head)
  if unwritten then return {'REFUSED', unwritten} end
  if many then
    local changed = {}
    for i = first + 1, last do changed[i - first] = KEYS[i] end
    redis.call('HSET', record, 'l' .. tonumber(version) % log_length(record), cmsgpack.pack({version, digest, changed}))
    for i = 1, #fields, 2 do redis.call('HSET', record, fields[i], fields[i + 1]) end
    for i = 1, #lost do redis.call('HDEL', record, lost[i]) end
  end
  if wake then tell_waiters(record, version) end
  local states = state_limit == 0 and {} or states_of(first, last, state_limit)
  return {'ACK', accepted, settled, version, digest, ballot, base, replies, states}
end
