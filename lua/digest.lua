-- digest: the version digests of registers, page by page, for a sweep. Writes nothing.
-- USES    fence text record
-- KEYS    of: 1.. records; others none
-- ARGV    1 fence; 2 deadline ms; 3 what (scan, of, dirty, count, sum, marks, pick); but for of: 4 cursor ('0' first), 5 number of keys to look at;
--         sum, marks: 6 what of a register counts (d its digest, a also what it promised and accepted); marks: 7 parts wanted, hex digits; 8 first digit of the states' marks;
--         pick: 6 marks of the registers wanted, 8 hex digits each
-- REPLY   {'PAGE', next cursor ('0' last), {{register, version, digest, promised, accepted}, ...}} of: one each record, version '' where there is none;
--         dirty: {{register, ballot}, ...}; count: {how many of the keys that it looked at are the users'};
--         sum: {number of registers, sums} of each of 16 parts the sum of its registers' states, of 48 bits each, modulo 2^48; a space between;
--         marks: {bytes} of each register 4 bytes of its id's SHA-1, of its state 4 (d) or 8 (a)
--         {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local what = ARGV[3]
if what == 'dirty' then
  local page, rows = redis.call('HSCAN', 'anrcho_dirty', ARGV[4], 'COUNT', ARGV[5]), {}
  for i = 1, #page[2], 2 do rows[#rows + 1] = {page[2][i], page[2][i + 1]} end
  return {'PAGE', page[1], rows}
end
if what == 'count' then
  local page, count = redis.call('SCAN', ARGV[4], 'COUNT', ARGV[5]), 0
  for i = 1, #page[2] do
    if string.sub(page[2][i], 1, 7) ~= 'anrcho_' then count = count + 1 end
  end
  return {'PAGE', page[1], {as_text(count)}}
end
local records, following = KEYS, '0'
if what ~= 'of' then
  local page = redis.call('SCAN', ARGV[4], 'MATCH', 'anrcho_version:{*', 'COUNT', ARGV[5])
  following, records = page[1], page[2]
end
-- Nodes keep registers in orders of their own, so they are told apart by a hash of the id; the part is its first digit.
local function mark_of(record) return redis.sha1hex(string.sub(record, 17, -2)) end
-- What a register's state comes to, in at least 32 hex digits: digests of two registers are never equal.
local function state_of(record, id, kind)
  local head = load_head(record) or no_head()
  if kind == 'a' then return redis.sha1hex(id .. head.digest .. head.promised .. head.accepted) end
  return head.digest ~= '' and head.digest or id
end
-- A record that somebody else wrote may hold anything.
local function number(hex, from, to) return tonumber(string.sub(hex, from, to), 16) or 0 end
if what == 'sum' then
  local sums = {}
  for part = 1, 16 do sums[part] = 0 end
  for i = 1, #records do
    local id = mark_of(records[i])
    local part = number(id, 1, 1) + 1
    sums[part] = (sums[part] + number(state_of(records[i], id, ARGV[6]), 1, 12)) % 281474976710656
  end
  for part = 1, 16 do sums[part] = as_text(sums[part]) end
  return {'PAGE', following, {as_text(#records), table.concat(sums, ' ')}}
elseif what == 'marks' then
  local marks, from = {}, tonumber(ARGV[8])
  for i = 1, #records do
    local id = mark_of(records[i])
    if string.find(ARGV[7], string.sub(id, 1, 1), 1, true) then
      local state = state_of(records[i], id, ARGV[6])
      marks[#marks + 1] = struct.pack('>I4I4', number(id, 1, 8), number(state, from, from + 7))
      if ARGV[6] == 'a' then marks[#marks + 1] = struct.pack('>I4', number(state, from + 8, from + 15)) end
    end
  end
  return {'PAGE', following, {table.concat(marks)}}
elseif what == 'pick' then
  local wanted, found = {}, {}
  for i = 1, #ARGV[6], 8 do wanted[string.sub(ARGV[6], i, i + 7)] = true end
  for i = 1, #records do
    if wanted[string.sub(mark_of(records[i]), 1, 8)] then found[#found + 1] = records[i] end
  end
  records = found
end
local rows = {}
for i = 1, #records do
  local held = load_head(records[i])
  local head = held or no_head()
  rows[i] = {string.sub(records[i], 17, -2), held and head.version or '', head.digest, head.promised, head.accepted}
end
return {'PAGE', following, rows}
