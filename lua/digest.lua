-- digest: the version digests of registers, page by page, for a sweep. Writes nothing.
-- USES    fence text
-- KEYS    of: 1.. records; others none
-- ARGV    1 fence; 2 deadline ms; 3 what (scan, of, dirty, count); but for of: 4 cursor ('0' first), 5 number of keys to look at
-- REPLY   {'PAGE', next cursor ('0' last), {{register, version, digest, promised, accepted}, ...}} of: one each record, version '' where there is none;
--         dirty: {{register, ballot}, ...}; count: {how many of the keys that it looked at are the users'}
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
if what == 'scan' then
  local page = redis.call('SCAN', ARGV[4], 'MATCH', 'anrcho_version:{*', 'COUNT', ARGV[5])
  following, records = page[1], page[2]
end
local rows = {}
for i = 1, #records do
  local head = redis.call('HMGET', records[i], 'v', 'd', 'p', 'a')
  rows[i] = {string.sub(records[i], 17, -2), head[3] and (head[1] or '0') or '', head[2] or '', head[3] or '', head[4] or ''}
end
return {'PAGE', following, rows}
