-- admit: who a node is and whether it votes: look, claim and start a new node, demote, re-admit, move to an epoch or to a generation; and the heal's own bookkeeping.
-- USES    text contract record
-- KEYS    forget: 1 record, 2.. nothing; others none
-- ARGV    1 what, then
--         look: nothing
--         claim: 2 cluster, 3 node, 4 members (node ids, comma between), 5 run id, 6 scopes, 7 purge age ms ('' nothing is purged): a fresh, empty node is taken for a cluster that is being initialised
--         adopt: 2 cluster, 3 node, 4 members, 5 run id, 6 fence, 7 epoch, 8 scopes, 9 purge age ms: a server that holds somebody's data is taken, data and all; again, with a new fence, by each try
--         start: 2 cluster, 3 fence: a claimed node becomes a voter of epoch 1
--         readmit: 2 node, 3 run id, 4 fence, 5 run id that was recorded: the same data after a restart that cannot have lost any
--         demote: 2 node, 3 new fence, 4 run id that was recorded, 5 fence that was seen: a node that may hold older data does not vote until it is promoted
--         rejoin: 2 node, 3 epoch, 4 run id, 5 fence: a heal pass over a joining node begins
--         epoch: 2 node, 3 epoch, 4 fence: never down, and within one generation (a million epochs); joining nodes keep their role
--         move: 2 cluster, 3 node, 4 members, 5 first epoch of a generation that was decided, 6 fence, 7 run id, 8 generation of the last FLUSHALL, 9 scopes, 10 purge age ms: a node of an
--         older generation goes there; a member that voted in the one before votes on, an empty server and any other member joins; what was flushed since goes
--         promote: 2 node, 3 epoch, 4 run id, 5 new fence, 6 fence of the whole heal pass: a joining node that holds all that the voters hold becomes one, and so does an adopted one
--         forget: 2 fence: drop a register that no voter has; only on a joining node
--         mark: 2 fence, 3 register, 4 ballot: remember that a node misses the register's last settle
--         swept: 2 fence, 3 when and with what result a sweep ended, for who asks how the nodes are
--         filling: 2 fence, 3 anything new: whoever fills this joining node, under this fence, goes on with it; others leave it alone
--         clean: 2 fence, 3 register, 4 ballot: take a register off the dirty set unless it was marked again
-- REPLY   look: {'NODE', cluster, node, epoch, role, run id, members, fence, number of keys, now in µs, scopes, generation of the last FLUSHALL, purge age ms, generation that was decided last as far
--         as this node knows, contract}; '' where unknown; of another contract than these scripts': no fence
--         {'OK'} {'CLAIMED', cluster, members} {'NOT_EMPTY', number of keys} {'OTHER', field, value} {'REFUSED', error}; of another contract nothing but look, {'OTHER', 'contract', found} else
-- ERRORS  none of its own
local what = ARGV[1]
local info = redis.call('HMGET', 'anrcho_node', 'cluster', 'node', 'epoch', 'role', 'run_id', 'members', 'scopes', 'flushed', 'purge_age_ms', 'contract')
local cluster, node, epoch, role = info[1] or '', info[2] or '', info[3] or '', info[4] or ''
local run_id, members, scopes, flushed, purge_age_ms = info[5] or '', info[6] or '', info[7] or '', info[8] or '0', info[9] or ''
local fence = redis.call('GET', 'anrcho_fence') or ''
-- A cluster of before there were numbers keeps the first contract.
local found = cluster ~= '' and (info[10] or '1') or ''
if found ~= '' and found ~= contract then
  if what ~= 'look' then return {'OTHER', 'contract', found} end
  fence = '' -- without it no script does anything
end

local function generation_of(number) return math.floor((tonumber(number) or 0) / 1000000) end

local function write(...)
  local refused = error_of(redis.pcall('HSET', 'anrcho_node', ...))
  if refused then return {'REFUSED', refused} end
  return {'OK'}
end
local function write_with_fence(token, ...)
  local answer = write(...)
  if answer[1] == 'OK' then redis.call('SET', 'anrcho_fence', token) end
  return answer
end

if what == 'look' then
  local time = redis.call('TIME')
  return {'NODE', cluster, node, epoch, role, run_id, members, fence, as_text(redis.call('DBSIZE')),
    as_text(time[1] * 1000000 + time[2]), scopes, flushed, purge_age_ms, redis.call('HGET', 'anrcho_config', 'generation') or '0', found}
elseif what == 'claim' then
  if cluster ~= '' then
    if cluster ~= ARGV[2] or node ~= ARGV[3] then return {'CLAIMED', cluster, members} end
    return {'OK'}
  end
  if redis.call('DBSIZE') > 0 then return {'NOT_EMPTY', as_text(redis.call('DBSIZE'))} end
  return write('cluster', ARGV[2], 'node', ARGV[3], 'members', ARGV[4], 'run_id', ARGV[5], 'epoch', '1', 'role', 'claimed',
    'scopes', ARGV[6] or '', 'purge_age_ms', ARGV[7] or '', 'contract', contract)
elseif what == 'adopt' then
  if cluster ~= '' and (cluster ~= ARGV[2] or node ~= ARGV[3]) then return {'CLAIMED', cluster, members} end
  if cluster ~= '' and role ~= 'adopting' then return {'OTHER', 'role', role} end
  return write_with_fence(ARGV[6], 'cluster', ARGV[2], 'node', ARGV[3], 'members', ARGV[4], 'run_id', ARGV[5], 'epoch', ARGV[7], 'role', 'adopting',
    'scopes', ARGV[8] or '', 'purge_age_ms', ARGV[9] or '', 'contract', contract)
elseif what == 'start' then
  if cluster ~= ARGV[2] then return {'OTHER', 'cluster', cluster} end
  if role ~= 'claimed' then return {'OK'} end
  return write_with_fence(ARGV[3], 'role', 'voter')
elseif what == 'readmit' then
  if node ~= ARGV[2] then return {'OTHER', 'node', node} end
  if run_id ~= ARGV[5] then return {'OTHER', 'run_id', run_id} end
  return write_with_fence(ARGV[4], 'run_id', ARGV[3])
elseif what == 'demote' then
  if node ~= ARGV[2] then return {'OTHER', 'node', node} end
  if run_id ~= ARGV[4] then return {'OTHER', 'run_id', run_id} end
  if fence ~= ARGV[5] then return {'OTHER', 'fence', ''} end
  return write_with_fence(ARGV[3], 'role', 'joining')
elseif what == 'rejoin' then
  if node ~= ARGV[2] then return {'OTHER', 'node', node} end
  if role ~= 'joining' then return {'OTHER', 'role', role} end
  if generation_of(epoch) ~= generation_of(ARGV[3]) then return {'OTHER', 'epoch', epoch} end
  return write_with_fence(ARGV[5], 'epoch', ARGV[3], 'run_id', ARGV[4])
elseif what == 'epoch' then
  if node ~= ARGV[2] then return {'OTHER', 'node', node} end
  if tonumber(epoch) >= tonumber(ARGV[3]) or generation_of(epoch) ~= generation_of(ARGV[3]) then return {'OTHER', 'epoch', epoch} end
  return write_with_fence(ARGV[4], 'epoch', ARGV[3])
elseif what == 'move' then
  local from, to = generation_of(epoch), generation_of(ARGV[5])
  if cluster == '' then
    if redis.call('DBSIZE') > 0 then return {'NOT_EMPTY', as_text(redis.call('DBSIZE'))} end
  elseif cluster ~= ARGV[2] or node ~= ARGV[3] then
    return {'CLAIMED', cluster, members}
  elseif from > to then
    return {'OK'}
  elseif from == to then
    -- Two configurations of one generation must not both find their voters.
    if members ~= ARGV[4] or flushed ~= ARGV[8] then return {'OTHER', 'members', members} end
    return {'OK'}
  end
  if not string.find(',' .. ARGV[4] .. ',', ',' .. ARGV[3] .. '[@,]') then return {'OTHER', 'node', node} end
  local votes_on = role == 'voter' and from + 1 == to
  if cluster ~= '' and tonumber(ARGV[8]) > from then
    -- Everything goes but the register that says so.
    local kept = {}
    for _, key in ipairs({'anrcho_config', 'anrcho_version:{anrcho_config}'}) do kept[key] = redis.call('DUMP', key) or nil end
    redis.call('FLUSHDB', 'ASYNC')
    for key, value in pairs(kept) do redis.call('RESTORE', key, 0, value) end
  end
  return write_with_fence(ARGV[6], 'cluster', ARGV[2], 'node', ARGV[3], 'members', ARGV[4], 'epoch', ARGV[5], 'flushed', ARGV[8], 'scopes', ARGV[9] or '', 'purge_age_ms', ARGV[10] or '',
    'role', votes_on and 'voter' or 'joining', 'run_id', votes_on and run_id or ARGV[7], 'contract', contract)
elseif what == 'promote' then
  if node ~= ARGV[2] then return {'OTHER', 'node', node} end
  if role ~= 'joining' and role ~= 'adopting' then return {'OTHER', 'role', role} end
  if epoch ~= ARGV[3] then return {'OTHER', 'epoch', epoch} end
  if run_id ~= ARGV[4] then return {'OTHER', 'run_id', run_id} end
  if ARGV[6] ~= fence then return {'OTHER', 'fence', ''} end
  return write_with_fence(ARGV[5], 'role', 'voter')
end

if fence == '' or fence ~= ARGV[2] then return {'OTHER', 'fence', ''} end
if what == 'forget' then
  if role ~= 'joining' then return {'OTHER', 'role', role} end
  for _, key in ipairs(keys_of(KEYS[1], load_head(KEYS[1]))) do redis.call('UNLINK', key) end
  redis.call('DEL', KEYS[1])
  return {'OK'}
elseif what == 'mark' then
  local refused = error_of(redis.pcall('HSET', 'anrcho_dirty', ARGV[3], ARGV[4]))
  if refused then return {'REFUSED', refused} end
  return {'OK'}
elseif what == 'swept' then
  return write('swept', ARGV[3])
elseif what == 'filling' then
  return write('filling', ARGV[3])
elseif what == 'clean' then
  if redis.call('HGET', 'anrcho_dirty', ARGV[3]) == ARGV[4] then redis.call('HDEL', 'anrcho_dirty', ARGV[3]) end
  return {'OK'}
end
return {'OTHER', 'call', what}
