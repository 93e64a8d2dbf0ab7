-- purge: which records are tombstones (deleted or expired registers) that may go, and their end.
-- USES    fence text age
-- KEYS    of: 1.. records; drop: 1 record; scan: none
-- ARGV    1 fence; 2 deadline ms; 3 what (scan, of, drop); scan: 4 cursor ('0' first), 5 number of keys to look at; drop: 4 version, 5 digest, 6 accepted
-- REPLY   {'PAGE', next cursor ('0' last), {{register, what, version, digest, accepted}, ...}} what: 'GO' it may, 'UNSETTLED' once it is settled, 'STAYS', 'NONE' no
--         record. scan: only those that may go or are unsettled; of: one each record
--         {'PURGED'} {'KEPT', what} it is not, or not any more, the one that was named
--         {'FENCED'} {'EXPIRED', now ms}
-- ERRORS  none of its own
local what = ARGV[3]
-- Whether a value is there, or was until lately. The log of a register that once had many keys has up to 4096 fields; one with a thousand more is not searched.
local function is_alive(record)
  if redis.call('HLEN', record) > 5200 then return true end
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', record, cursor, 'COUNT', 100)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local field = page[2][i]
      if string.sub(field, 1, 1) == 'k' then
        local expiry_ms = tonumber(page[2][i + 1])
        if expiry_ms == 0 or not older_than_purge_age(expiry_ms) or redis.call('EXISTS', string.sub(field, 2)) == 1 then return true end
      end
    end
  until cursor == '0'
  return false
end
local function judge(record)
  local id = string.sub(record, 17, -2)
  local head = redis.call('HMGET', record, 'p', 'a', 's', 'v', 'd', 'k' .. id)
  local promised, accepted, settled, version, digest = head[1], head[2] or '', head[3] or '0', head[4] or '0', head[5] or ''
  local verdict = 'GO'
  if not promised then verdict = 'NONE'
  elseif head[6] == '0' or not older_than_purge_age(time_of(promised)) or is_alive(record) then verdict = 'STAYS'
  elseif promised ~= accepted or settled ~= version then verdict = 'UNSETTLED' end
  return {id, verdict, version, digest, accepted}
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
return {'PAGE', following, rows}
