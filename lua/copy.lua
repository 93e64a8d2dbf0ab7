-- copy: clones small registers of a node that votes on one that is being filled, many in a call. What it leaves out, the sweep that follows finds.
-- USES    fence text record state value wake
-- KEYS    out: 1.. records, or none, to scan; in: none
-- ARGV    1 fence; 2 deadline ms; 3 what (out, in); out: 4 limit bytes of the copies; without KEYS 5 cursor ('0' first), 6 number of keys to look at; in: 4 copies, as out gave them
-- REPLY   {'COPIES', next cursor ('0' last), number of registers, copies, {record, ...}} copies: opaque; the records that were left for the limit, to be asked for by
--         name. Left out for good: registers of more than 200 fields, with a key of more than 64 KiB or 1000 elements, with a stream or a module's type, or lacking a key that the record lists
--         {'COPIED', number of registers taken} left alone are those that hold what was given, have promised or accepted a higher ballot, or are being filled
--         {'REFUSED', error} the node is not being filled, or would not write; {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local most_fields, most_elements, most_bytes = 200, 1000, 65536
-- All fields of the record, whatever they are, and of each key that it lists name, form and elements.
local function copy_of(record)
  local length = redis.pcall('HLEN', record)
  if type(length) ~= 'number' or length > most_fields then return nil, 0 end
  local fields, keys, bytes, given = redis.call('HGETALL', record), {}, 0, {}
  for i = 1, #fields, 2 do
    given[fields[i]] = fields[i + 1]
    bytes = bytes + #fields[i] + #fields[i + 1]
  end
  local head = head_of(given.h, given.d, given.a)
  if given.f or not head then return nil, 0 end
  for _, key in ipairs(keys_of(record, head)) do
    local form, value = form_of(key), given['k' .. key] or head.entry
    if form == 'dump' or form == 'gone' and (value == '0' or tonumber(value) > now_ms) then return nil, 0 end
    local elements, size = elements_within(key, form, most_bytes, most_elements)
    if not elements then return nil, 0 end
    bytes = bytes + size
    keys[#keys + 1] = {key, form, elements, value}
  end
  return {record, fields, keys}, bytes
end

if ARGV[3] == 'out' then
  local records, following, limit = KEYS, '0', tonumber(ARGV[4])
  if #KEYS == 0 then
    local page = redis.call('SCAN', ARGV[5], 'MATCH', 'anrcho_version:{*', 'COUNT', ARGV[6])
    following, records = page[1], page[2]
  end
  local copies, left, total = {}, {}, 0
  for i = 1, #records do
    if total >= limit then left[#left + 1] = records[i]
    else
      local copy, bytes = copy_of(records[i])
      copies[#copies + 1] = copy
      total = total + bytes
    end
  end
  return {'COPIES', following, as_text(#copies), cmsgpack.pack(copies), left}
end

if redis.call('HGET', 'anrcho_node', 'role') ~= 'joining' then return {'REFUSED', 'ERR this node is not being filled'} end
-- The clone of a voter's record is as good as the voter's own, with every ballot that it promised and accepted: but only whole, and never
-- over what a settle has brought here since.
local function take(record, fields, keys)
  local given = {}
  for i = 1, #fields, 2 do given[fields[i]] = fields[i + 1] end
  local there, held = head_of(given.h, given.d, given.a), load_head(record)
  local own = held or no_head()
  if redis.call('HEXISTS', record, 'f') == 1 or own.promised > there.promised or own.accepted > there.accepted then return false end
  if own.promised == there.promised and own.accepted == there.accepted and own.digest == there.digest then return false end
  if held and redis.call('HLEN', record) > most_fields then return false end
  -- The first write: a full node refuses it.
  promise_in(record, own, there.promised)
  local refused = save_head(record, own)
  if refused then return false, refused end
  for _, key in ipairs(keys_of(record, held)) do redis.call('UNLINK', key) end
  for _, each in ipairs(keys) do
    local key, form, elements, expiry = each[1], each[2], each[3], each[4]
    redis.call('UNLINK', key)
    store_value(key, form, elements, 1, #elements)
    if form ~= 'gone' and expiry ~= '0' then redis.call('PEXPIREAT', key, expiry) end
  end
  redis.call('DEL', record)
  redis.call('HSET', record, unpack(fields))
  tell_waiters(record, there.version)
  return true
end
local taken = 0
for _, copy in ipairs(cmsgpack.unpack(ARGV[4])) do
  local took, refused = take(copy[1], copy[2], copy[3])
  if refused then return {'REFUSED', refused} end
  if took then taken = taken + 1 end
end
return {'COPIED', as_text(taken)}
