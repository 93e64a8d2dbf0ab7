-- purge: which records are tombstones (deleted or expired registers) that may go, and their end.
-- USES    fence text age record
-- KEYS    of: 1.. records; drop: 1 record; scan: none
-- ARGV    1 fence; 2 deadline ms; 3 what (scan, of, drop); scan: 4 cursor ('0' first), 5 number of keys to look at; drop: 4 version, 5 digest, 6 accepted
-- REPLY   {'PAGE', next cursor ('0' last), {{register, what, version, digest, accepted}, ...}, tombstones} what: 'GO' it may, 'UNSETTLED' once it is settled, 'STAYS', 'NONE' no
--         record. scan: only those that may go or are unsettled; of: one each record. tombstones: how many of the page have no value, the young ones too
--         {'PURGED'} {'KEPT', what} it is not, or not any more, the one that was named
--         {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local what = ARGV[3]
-- 'now' where a value is there, 'lately' where one was. The log of a register that once had many keys has up to 4096 fields; one with a thousand more is not searched.
local function alive(record, head)
  local answer
  local function look_at(key, expiry_ms)
    if expiry_ms == 0 or expiry_ms > now_ms or redis.call('EXISTS', key) == 1 then return 'now' end
    if not older_than_purge_age(expiry_ms) then answer = 'lately' end
  end
  if head.entry ~= 'm' then return head.entry ~= '' and look_at(string.sub(record, 17, -2), tonumber(head.entry)) or answer end
  if redis.call('HLEN', record) > 5200 then return 'now' end
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', record, cursor, 'COUNT', 100)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local field = page[2][i]
      if string.sub(field, 1, 1) == 'k' and look_at(string.sub(field, 2), tonumber(page[2][i + 1])) then return 'now' end
    end
  until cursor == '0'
  return answer
end
local tombstones = 0
local function judge(record)
  local id = string.sub(record, 17, -2)
  local held = load_head(record)
  if not held then return {id, 'NONE', '0', '', ''} end
  local verdict, value = 'GO', alive(record, held)
  if value ~= 'now' then tombstones = tombstones + 1 end
  if value or not older_than_purge_age(time_of(held.promised)) then verdict = 'STAYS'
  elseif held.promised ~= held.accepted or held.settled ~= held.version then verdict = 'UNSETTLED' end
  return {id, verdict, held.version, held.digest, held.accepted}
end

if what == 'drop' then
  local held = judge(KEYS[1])
  if held[2] ~= 'GO' or held[3] ~= ARGV[4] or held[4] ~= ARGV[5] or held[5] ~= ARGV[6] then return {'KEPT', held[2]} end
  redis.call('DEL', KEYS[1])
  return {'PURGED'}
end
local records, following, rows = KEYS, '0', {}
if what == 'scan' then
  local page = redis.call('SCAN', ARGV[4], 'MATCH', 'anrcho_version:{*', 'COUNT', ARGV[5])
  following, records = page[1], page[2]
end
for i = 1, #records do
  local row = judge(records[i])
  if what == 'of' or row[2] == 'GO' or row[2] == 'UNSETTLED' then rows[#rows + 1] = row end
end
return {'PAGE', following, rows, as_text(tombstones)}
