-- user: a user's script as one command of a batch: EVAL script numkeys keys args, with `redis`, KEYS, ARGV and libraries of its own.
-- It may call what `reads` and `writes` name, on any key of its register; of one that it does not declare `enter` hears before it is first
-- used, and whether the script has written: it answers what the node gives up with, where it must, and then the script goes no further.
-- Every call and every reply goes into `seen`: where nodes answer or compute differently (SPOP, PTTL, the order of SMEMBERS or of a table),
-- their histories differ too, and one of them is settled.
-- Answers the reply, whether anything was written, what was seen, the node's own refusal if there was one, and what it gives up with.
local function run_user(at, argc, at_ms, seed, read_only, enter, by_op)
  local reads = ' BITCOUNT BITFIELD_RO BITPOS DUMP ECHO EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE'
    .. ' HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSCAN HSTRLEN HVALS LCS LINDEX LLEN LPOS LRANGE MGET PEXPIRETIME PING PTTL SCARD SDIFF SINTER SINTERCARD'
    .. ' SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TOUCH TTL TYPE XINFO XLEN XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER'
    .. ' ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION '
  local writes = ' APPEND BITFIELD BITOP DECR DECRBY DEL EXPIRE EXPIREAT GEOADD GEOSEARCHSTORE GETDEL GETEX GETSET HDEL HINCRBY HINCRBYFLOAT HMSET HSET HSETNX'
    .. ' INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM MSET MSETNX PERSIST PEXPIRE PEXPIREAT PFADD PFCOUNT PFMERGE PSETEX RENAME'
    .. ' RENAMENX RPOP RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERSTORE SMOVE SPOP SREM SUNIONSTORE UNLINK XACK XADD XDEL XGROUP XSETID XTRIM ZADD ZDIFFSTORE'
    .. ' ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN ZRANGESTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE '
  local source, count = ARGV[at + 1], tonumber(ARGV[at + 2])
  local keys, args, declared = {}, {}, {}
  for i = 1, count do
    keys[i] = ARGV[at + 2 + i]
    declared[keys[i]] = true
  end
  for i = at + 3 + count, at + argc - 1 do args[#args + 1] = ARGV[i] end
  local seen, wrote, refused, given_up = '', false, nil, nil

  -- The line of the user's script, so many calls up. `return redis.call()` leaves no trace of its line: then it is the last such line.
  local function line_at(level)
    local _, position = pcall(error, '', level)
    local line = string.match(position, '^user_script:(%d+):')
    if line then return line end
    local number, found = 0, nil
    for text in string.gmatch(source .. '\n', '([^\n]*)\n') do
      number = number + 1
      if string.find(text, 'return.+call') then found = as_text(number) end
    end
    return found
  end
  -- Relative expiry counts from the op's time. Answers the expiry that is set, if any.
  local function make_absolute(words, name)
    local ms = function(i, factor)
      if not string.find(words[i] or '', '^%-?%d+$') then return nil end
      return at_ms + tonumber(words[i]) * factor
    end
    -- What has passed goes at once, on every node.
    local pexpireat = function(expiry)
      if expiry then words[1], words[3] = 'PEXPIREAT', expiry > at_ms and as_text(expiry) or '1' end
      return expiry
    end
    local factor = (name == 'EXPIRE' or name == 'SETEX') and 1000 or 1
    if name == 'EXPIRE' or name == 'PEXPIRE' then
      return pexpireat(ms(3, factor))
    elseif name == 'EXPIREAT' or name == 'PEXPIREAT' then
      local expiry = ms(3, name == 'EXPIREAT' and 1000 or 1)
      return pexpireat(expiry and expiry - at_ms)
    elseif name == 'SETEX' or name == 'PSETEX' then
      local expiry = ms(3, factor)
      if not expiry or expiry <= at_ms or #words ~= 4 then return nil end
      words[1], words[3], words[4], words[5] = 'SET', words[4], 'PXAT', as_text(expiry)
      return expiry
    elseif name == 'SET' or name == 'GETEX' then
      for i = name == 'SET' and 4 or 3, #words - 1 do
        local option = string.upper(words[i])
        local expiry = (option == 'EX' and ms(i + 1, 1000)) or (option == 'PX' and ms(i + 1, 1))
        if expiry and expiry > at_ms then words[i], words[i + 1] = 'PXAT', as_text(expiry) end
        if option == 'EXAT' or option == 'PXAT' then
          expiry = ms(i + 1, option == 'EXAT' and 1000 or 1)
          expiry = expiry and expiry - at_ms
          if expiry and expiry > 0 and expiry <= at_ms then words[i], words[i + 1] = 'PXAT', '1' end
        end
        if expiry then return expiry end
      end
    end
  end
  -- How much `~` trims depends on how a node has packed the entries.
  local function trim_exactly(words)
    local i, limit_at, about = 3, nil, false
    while words[i] do
      local option = string.upper(words[i])
      if option == 'MAXLEN' or option == 'MINID' then
        if words[i + 1] == '~' then about, words[i + 1] = true, '=' end
        i = i + (words[i + 1] == '=' and 3 or 2)
      elseif option == 'LIMIT' and string.find(words[i + 1] or '', '^%d+$') then i, limit_at = i + 2, i
      elseif option == 'NOMKSTREAM' then i = i + 1
      else break end
    end
    if about and limit_at then
      table.remove(words, limit_at)
      table.remove(words, limit_at)
    end
  end
  -- A key that KEYS does not name: of the same register it is as good as those, of another one out of reach.
  local function why_not_key(key)
    if string.sub(key, 1, 7) == 'anrcho_' then return "ERR the key '" .. key .. "' is refused: keys that start with 'anrcho_' hold the records" end
    if id_of(key) ~= string.sub(KEYS[1], 17, -2) then
      if count == 0 then
        return "CROSSSLOT the script uses the key '" .. key .. "' and has no KEYS: name a key in KEYS, so that its register is known before it runs"
      end
      return "CROSSSLOT the script uses the key '" .. key .. "', which is in another register than its KEYS: give them one hash tag, or a scope"
    end
    given_up = enter(key, wrote)
    if given_up then error({err = 'ERR given up'}, 0) end
    declared[key] = true
  end
  local function why_not(words, name)
    local known = string.find(reads .. writes, ' ' .. name .. ' ', 1, true)
    if not known and not redis.call('COMMAND', 'INFO', name)[1] then return (redis.pcall(words[1]).err) end
    if not known then return "ERR the command is not allowed in scripts: with '" .. name .. "' nodes would not stay equal, or wait, or keys outside of the register be touched" end
    if read_only and string.find(writes, ' ' .. name .. ' ', 1, true) then
      return 'ERR Write commands are not allowed from read-only scripts.'
    end
    if name == 'PING' or name == 'ECHO' then return nil end
    local named = redis.pcall('COMMAND', 'GETKEYS', unpack(words))
    if named.err then
      -- Without arguments the server says in its own words that they are missing.
      local missing = string.find(named.err, 'number of arg', 1, true) and redis.pcall(words[1])
      return (missing or named).err
    end
    for i = 1, #named do
      local failure = not declared[named[i]] and why_not_key(named[i])
      if failure then return failure end
    end
  end
  local function call(raises, words, count)
    if given_up then error({err = 'ERR given up'}, 0) end
    -- One spelling of numbers: servers before 7.2 and since spell them differently.
    local named = count > 0
    for i = 1, count do
      local word = words[i]
      if type(word) == 'number' then
        words[i] = string.format(word == math.floor(word) and math.abs(word) < 2^63 and '%.0f' or '%.17g', word)
      elseif type(word) ~= 'string' then
        named = false
      end
    end
    local name = named and string.upper(words[1]) or ''
    if name == 'TIME' then return {as_text(math.floor(at_ms / 1000)), as_text(at_ms % 1000 * 1000)} end
    -- The server has its own words for arguments that are none.
    local failure
    if named then failure = why_not(words, name) else failure = redis.pcall(unpack(words, 1, count)).err end
    local reply
    if not failure then
      local expiry = make_absolute(words, name)
      if name == 'XADD' or name == 'XTRIM' then trim_exactly(words) end
      if name == 'XADD' then reply = by_op.XADD(words, as_text(at_ms)) else reply = redis.pcall(unpack(words)) end
      seen = redis.sha1hex(seen .. cmsgpack.pack(words) .. cmsgpack.pack(reply))
      failure = reply and type(reply) == 'table' and reply.err
      if failure then
        if is_refusal(error_of(reply)) then refused = error_of(reply) end
      else
        wrote = wrote or string.find(writes, ' ' .. name .. ' ', 1, true) ~= nil
        -- They tell how many, not what they have computed.
        if string.find(' GEOADD GEOSEARCHSTORE ZINTERSTORE ZRANGESTORE ZREMRANGEBYLEX ZUNIONSTORE ', ' ' .. name .. ' ', 1, true) then
          seen = redis.sha1hex(seen .. cmsgpack.pack(redis.pcall('ZRANGE', words[2], 0, -1, 'WITHSCORES')))
        end
        -- Passed here, and perhaps not elsewhere.
        if expiry then
          local clock = redis.call('TIME')
          if expiry <= clock[1] * 1000 + math.floor(clock[2] / 1000) + 5 then seen = redis.sha1hex(seen .. redis.call('EXISTS', words[2])) end
        end
      end
    end
    if not failure then return reply end
    local line = line_at(5)
    -- Redis 6.2 says for some errors where they came up, and means this script.
    failure = string.gsub(failure, '^@user_script: %d+:', '@user_script: ' .. (line or '1') .. ':')
    failure = string.match(failure, '^(.-)%s*$')
    if raises then error({err = failure, line = line}, 0) end
    return {err = failure}
  end

  -- No tail calls: the user's line is so many calls up.
  local own = {
    call = function(...)
      local reply = call(true, {...}, select('#', ...))
      return reply
    end,
    pcall = function(...)
      local reply = call(false, {...}, select('#', ...))
      return reply
    end,
  }
  for _, name in ipairs({'sha1hex', 'log', 'error_reply', 'status_reply', 'LOG_DEBUG', 'LOG_VERBOSE', 'LOG_NOTICE', 'LOG_WARNING', 'REDIS_VERSION', 'REDIS_VERSION_NUM'}) do
    own[name] = redis[name]
  end
  own.replicate_commands = function() return true end
  -- A first line may say how a server is to run it.
  if string.find(source, '^#![^\n]*no%-writes') then read_only = true end
  local body = string.gsub(source, '^#![^\n]*', '', 1)
  local before, behind = 'local redis, KEYS, ARGV, server, _G, loadstring, load, getfenv, setfenv, getmetatable, os, collectgarbage, gcinfo, math, string, table, cjson, cmsgpack, struct, bit = ... ', ''
  if not redis.REDIS_VERSION_NUM then before, behind = before .. 'return (function() ', '\nend)()' end
  local chunk, problem = loadstring(before .. body .. behind, '@user_script')
  if not chunk then return {err = 'ERR Error compiling script (new function): ' .. problem}, false, '' end
  -- As a reply, without what a reply cannot hold. Raw, and no deeper than a remembered reply may be.
  local function plain(value, depth)
    if type(value) == 'number' then return value < 0 and math.ceil(value) or math.floor(value) end
    if type(value) == 'string' then return value end
    if type(value) == 'boolean' then return value and 1 or false end
    if type(value) ~= 'table' then return false end
    if type(rawget(value, 'err')) == 'string' then return {err = rawget(value, 'err')} end
    if type(rawget(value, 'ok')) == 'string' then return {ok = rawget(value, 'ok')} end
    if type(rawget(value, 'double')) == 'number' then return string.format('%.17g', rawget(value, 'double')) end
    if depth > 15 then error({err = 'ERR the reply of a script is nested deeper than 15 levels'}, 0) end
    local list = {}
    for i = 1, #value do
      local element = rawget(value, i)
      if element == nil then break end
      list[i] = plain(element, depth + 1)
    end
    return list
  end
  local function caught(problem)
    if type(problem) == 'table' then
      local text, line = rawget(problem, 'err'), rawget(problem, 'line')
      if type(text) ~= 'string' and type(text) ~= 'number' then text = 'ERR unknown error' end
      if type(line) ~= 'string' and type(line) ~= 'number' then line = line_at(5) or line_at(4) end
      return {err = tostring(text), line = line and tostring(line)}
    end
    problem = type(problem) == 'userdata' and 'userdata' or problem
    return {err = tostring(problem), code = 'ERR ', line = string.match(tostring(problem), '^user_script:(%d+):')}
  end
  local function copy(of)
    local all = {}
    for name, value in pairs(of) do all[name] = value end
    return all
  end
  -- The server's generator goes on from script to script, and starts anew with the server.
  local numbers, state = copy(math), tonumber(string.sub(redis.sha1hex(seed .. source), 1, 7), 16)
  numbers.randomseed = function(seed) state = math.floor(seed) % 2147483648 end
  numbers.random = function(low, high)
    state = (state * 1103515 + 12345) % 2147483648
    local drawn = state / 2147483648
    if not low then return drawn end
    if not high then low, high = 1, low end
    if low > high then error("bad argument #1 to 'random' (interval is empty)", 2) end
    return low + math.floor(drawn * (high - low + 1))
  end
  -- No way to the server's own: not by name, nor by a chunk or a metatable.
  local environment = {own, keys, args, own, nil, nil, nil, nil, nil, function(of) return type(of) == 'table' and getmetatable(of) or nil end,
    nil, nil, nil, numbers, copy(string), copy(table), copy(cjson), copy(cmsgpack), copy(struct), copy(bit)}
  local ran, reply = xpcall(function() return plain(chunk(unpack(environment, 1, 20)), 1) end, caught)
  if not ran and type(reply) ~= 'table' then reply = {err = tostring(reply), code = 'ERR '} end
  if not ran then
    local sha, line = redis.sha1hex(source), reply.line or '0'
    if not redis.REDIS_VERSION_NUM then
      local text = reply.err
      local strict = string.find(text, 'nonexistent global', 1, true) and 15 or string.find(text, 'create global', 1, true) and 8
      local place = strict and '@enable_strict_lua:' .. strict or '@user_script:' .. line
      reply = 'ERR Error running script (call to f_' .. sha .. '): ' .. place .. ': ' .. text
    else
      reply = (reply.code or '') .. reply.err .. ' script: ' .. (redis.SERVER_NAME and '' or sha .. ', ') .. 'on @user_script:' .. line .. '.'
    end
    return {err = reply}, wrote, seen, refused, given_up
  end
  return reply, wrote, seen, nil, given_up
end
