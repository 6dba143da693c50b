--[[
  Renew the locks of jobs whose handlers run here, and take back those that lapsed while we were away.

  KEYS   1 active  2 stalled  3 wait  4 paused  5 ids that someone asked to cancel
  ARGV   1 key prefix  2 lock ms  3 msgpack [{id, token, ats, processedOn, atm} …]
  Reply  for each: 0 renewed, 1 taken back, 2 renewed, and to be cancelled on request, or {2, how and why}, -6 another claim exists or the job is gone: its handler must stop,
         or the text of an error (a replica, memory full): nothing is known of this lock, it may still be ours
  Source: BullMQ extendLocks-1; the second half is docs/decisions.md, 6.
]]
local call = redis.call
local prefix, lock_ms = ARGV[1], ARGV[2]
local statuses, unstalled = {}, {}

local function take_back(claim)
  local id, job = claim[1], prefix .. claim[1]
  local facts = call('HMGET', job, 'ats', 'processedOn', 'atm')
  if tonumber(facts[1]) ~= claim[3] or tonumber(facts[2]) ~= claim[4] then return -6 end
  if (tonumber(facts[3]) or 0) ~= claim[5] then return -6 end       -- its end was written already
  local place
  for _, list in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do
    if not place and call('LPOS', list, id) then place = list end
  end
  if not place then return -6 end
  local is_back = place ~= KEYS[1]
  if is_back then call('LPUSH', KEYS[1], id) end                   -- first of all: a job with our lock is in `active`
  local set = redis.pcall('SET', job .. ':lock', claim[2], 'PX', lock_ms)
  if set.err then
    if is_back then redis.pcall('LREM', KEYS[1], 1, id) end
    error(set, 0)
  end
  if not is_back then return 1 end
  call('LREM', place, -1, id)
  if call('HGET', job, 'defa') == 'job stalled more than allowable limit' then call('HDEL', job, 'defa') end
  return 1
end

local has_requests = call('EXISTS', KEYS[5]) == 1
-- 0, 2, or {2, how and why} if whoever asked has said that (queue/maintenance.py).
local function cancellation_of(id)
  if not has_requests or call('SREM', KEYS[5], id) == 0 then return 0 end
  local key = prefix .. 'oxcart:cancel:' .. id
  local why = call('GET', key)
  if not why then return 2 end
  call('DEL', key)
  return { 2, why }
end

for i, claim in ipairs(cmsgpack.unpack(ARGV[3])) do
  local lock = prefix .. claim[1] .. ':lock'
  local ok, status = pcall(function()
    local token = call('GET', lock)
    if token == claim[2] then
      call('PEXPIRE', lock, lock_ms)       -- unlike SET allowed when the memory is full
      return cancellation_of(claim[1])
    end
    if token then return -6 end
    return take_back(claim)
  end)
  if not ok then
    statuses[i] = type(status) == 'table' and status.err or tostring(status)
  else
    statuses[i] = status
    if type(status) == 'table' or status >= 0 then unstalled[#unstalled + 1] = claim[1] end
  end
end
for from = 1, #unstalled, 1000 do
  call('SREM', KEYS[2], unpack(unstalled, from, math.min(from + 999, #unstalled)))
end
return statuses
