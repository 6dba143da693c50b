--[[
  May one request to Kommo leave now? One bucket for all processes; paced, so that no burst reaches Kommo.

  KEYS   1 state (hash)  2 waiting (hash: waiter -> "priority arrived due connection")
  ARGV   1 waiter  2 connection  3 priority (0 interactive, 1 backfill)  4 ms between two requests
         5 ms that a probe may take
  Reply  {what, ms, now}: what is `go`, `probe` (go, and alone), `wait` (ask again in ms), `paused` or `blocked` (for ms)

  Turns: interactive before backfill (a backfill that has waited for 30 s counts as interactive), then the connection
  served longest ago, then the order of arrival. Whoever does not come back when told loses its place, not the slot.
]]
local call = redis.call
local state, waiting = KEYS[1], KEYS[2]
local waiter, connection, priority = ARGV[1], ARGV[2], tonumber(ARGV[3])
local OVERDUE, FORGOTTEN, PATIENT, LONGEST_WAIT, LATENESS, EXPIRY = 250, 10000, 30000, 2000, 20, 3600000
local HALVED_AT_MOST, GRANTS_TO_RECOVER = 3, 300

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local facts = call('HMGET', state, 'blockedUntil', 'probeUntil', 'pausedUntil', 'nextAt', 'refusals', 'grants')
for i = 1, 6 do facts[i] = tonumber(facts[i]) or 0 end
local blocked_until, probe_until, paused_until, next_at, refusals, grants = unpack(facts)

local function keep_for(ms)
  if call('PTTL', state) < ms then call('PEXPIRE', state, ms) end
end

if blocked_until > 0 then
  local closed_until = math.max(blocked_until, probe_until)
  if now < closed_until then
    call('HDEL', waiting, waiter)
    return {'blocked', closed_until - now, now}
  end
  call('HSET', state, 'probeUntil', now + ARGV[5])
  return {'probe', 0, now}
end
if now < paused_until then
  call('HDEL', waiting, waiter)
  return {'paused', paused_until - now, now}
end

local halved = math.min(math.max(refusals - 1, 0), HALVED_AT_MOST)
local interval = tonumber(ARGV[4]) * 2 ^ halved

local function rank_of(arrived, given)
  return (given == 1 and now - arrived > PATIENT) and 0 or given
end
local function before(a, b)
  if a.arrived ~= b.arrived then return a.arrived < b.arrived end
  return a.id < b.id
end

local me = {id = waiter, arrived = now, connection = connection}
local others, gone = {}, {}
local entries = call('HGETALL', waiting)
for i = 1, #entries, 2 do
  local given, arrived, due, who = string.match(entries[i + 1], '^(%d) (%d+) (%d+) (.*)$')
  arrived, due = tonumber(arrived), tonumber(due)
  if entries[i] == waiter then
    me.arrived = arrived
  elseif due + FORGOTTEN < now then
    gone[#gone + 1] = entries[i]
  elseif due + OVERDUE >= now then
    others[#others + 1] = {id = entries[i], arrived = arrived, connection = who, rank = rank_of(arrived, tonumber(given))}
  end
end
for i = 1, #gone do call('HDEL', waiting, gone[i]) end
me.rank = rank_of(me.arrived, priority)

-- How many go first: all of a better rank; of my own connection those before me; of another one in turn with mine.
local ahead, mine, counts = 0, 0, {}
for _, other in ipairs(others) do
  if other.rank < me.rank then
    ahead = ahead + 1
  elseif other.rank == me.rank then
    if other.connection ~= connection then
      counts[other.connection] = (counts[other.connection] or 0) + 1
    elseif before(other, me) then
      mine = mine + 1
    end
  end
end
local served = tonumber(call('HGET', state, 'served:' .. connection)) or 0
for who, count in pairs(counts) do
  local theirs = tonumber(call('HGET', state, 'served:' .. who)) or 0
  local is_earlier = theirs < served or (theirs == served and who < connection)
  ahead = ahead + math.min(count, mine + (is_earlier and 1 or 0))
end
ahead = ahead + mine

if ahead == 0 and now >= next_at then
  call('HDEL', waiting, waiter)
  grants = grants + 1
  if refusals > 0 and grants >= GRANTS_TO_RECOVER then refusals, grants = refusals - 1, 0 end
  call('HSET', state, 'nextAt', math.max(next_at, now - LATENESS) + interval, 'served:' .. connection, now,
    'grants', grants, 'refusals', refusals)
  keep_for(EXPIRY)
  return {'go', 0, now}
end
local wait = math.min(math.max(next_at - now, 0) + ahead * interval, LONGEST_WAIT)
wait = math.ceil(math.max(wait, 5))
call('HSET', waiting, waiter, string.format('%d %.0f %.0f %s', priority, me.arrived, now + wait, connection))
call('PEXPIRE', waiting, EXPIRY)
return {'wait', wait, now}
