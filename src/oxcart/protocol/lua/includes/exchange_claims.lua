-- Which jobs come out? `wait` first, the oldest first, then the most urgent of `prioritized`, as moveToActive has it.
-- CLAIMED: what a worker needs of a job, in this order. Most jobs have none of the last four, which are left out then.
local CLAIMED = { 'name', 'data', 'opts', 'ats', 'atm', 'timestamp', 'priority', 'rjk', 'parentKey', 'defa', 'stacktrace' }
local ats_as_text = {}                      -- a number given to call() is formatted anew each time
local jobs, notes = {}, {}

local function is_blocked()
  return paused or (concurrency and call('LLEN', active) >= concurrency)
end

local function promote(blocked)
  local due = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, promotion_limit)
  if #due == 0 then return end
  call('ZREM', delayed, unpack(due))
  for _, id in ipairs(due) do
    local job = prefix .. id
    local priority = pcall_redis('HGET', job, 'priority')
    if type(priority) == 'table' then
      notes[#notes + 1] = { id, priority.err }
    else
      priority = tonumber(priority) or 0
      if priority == 0 then
        call('LPUSH', waiting, id)
      else
        call('ZADD', prioritized, priority * 0x100000000 + call('INCR', KEYS[10]) % 0x100000000, id)
      end
      call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
      call('HSET', job, 'delay', 0)
    end
  end
  if not blocked then call('ZADD', KEYS[11], 0, '0') end
end

-- How long the queue is rate limited, in ms; 0 if it is not. A limit that a handler asked for (the largest safe
-- integer, as Node's rateLimit writes it) holds whether or not the queue has a maximum.
local function limited_for()
  local used = tonumber(call('GET', KEYS[6]) or 0)
  if used and used >= (limiter_max or 9007199254740991) then
    local ttl = call('PTTL', KEYS[6])
    if ttl == 0 then call('DEL', KEYS[6]) end
    if ttl > 0 then return ttl end
  end
  return 0
end

local bytes = 0
-- 'claimed', 'dropped' (nothing there to run), or 'stop' (no more in this exchange).
local function claim(id)
  local job = prefix .. id
  local facts = pcall_redis('HMGET', job, unpack(CLAIMED))
  if facts.err then
    notes[#notes + 1] = { id, facts.err }
    return 'dropped'
  end
  if not facts[1] then
    notes[#notes + 1] = { id, call('EXISTS', job) == 0 and 'its hash is missing' or 'its hash has no name' }
    return 'dropped'
  end
  local size = facts[2] and #facts[2] or 0
  if #jobs > 0 and bytes + size > byte_limit then return 'stop' end
  local locked = pcall_redis('SET', job .. ':lock', claim_token, 'PX', lock_text)
  if locked.err then
    notes[#notes + 1] = { '', locked.err }
    return 'stop'
  end
  bytes = bytes + size
  local ats = (tonumber(facts[4]) or 0) + 1
  local ats_text = ats_as_text[ats] or string.format('%d', ats)
  ats_as_text[ats] = ats_text
  call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  if worker_name ~= '' then
    call('HSET', job, 'processedOn', now_text, 'ats', ats_text, 'pb', worker_name)
  else
    call('HSET', job, 'processedOn', now_text, 'ats', ats_text)
  end
  if limiter_max and not facts[10] and call('INCR', KEYS[6]) == 1 then
    call('PEXPIRE', KEYS[6], math.floor(math.abs(tonumber(meta[4]) or 0)))
  end
  if not (facts[8] or facts[9] or facts[10] or facts[11]) then facts[8] = nil end
  jobs[#jobs + 1] = { id, ats, facts }
  return 'claimed'
end

local stopped, limit_ms = false, 0

local function claim_all(ids, take)
  local taken, claimed = {}, {}
  for _, id in ipairs(ids) do
    if #jobs >= room then break end
    if limiter_max then
      limit_ms = limited_for()
      if limit_ms > 0 then
        stopped = true
        break
      end
    end
    local outcome = 'dropped'               -- "0:…" are markers of BullMQ before 5
    if string.sub(id, 1, 2) ~= '0:' then outcome = claim(id) end
    if outcome == 'stop' then
      stopped = true
      break
    end
    taken[#taken + 1] = id
    if outcome == 'claimed' then claimed[#claimed + 1] = id end
  end
  if #taken > 0 then take(taken) end
  in_blocks(claimed, 1000, function(from, to) call('LPUSH', active, unpack(claimed, from, to)) end)
  return #taken
end

local function claim_waiting()
  while not stopped and #jobs < room do
    local ids = call('LRANGE', wait, -(room - #jobs), -1)
    if #ids == 0 then return end
    local oldest_first = {}
    for i = 1, #ids do oldest_first[i] = ids[#ids - i + 1] end
    claim_all(oldest_first, function(taken) call('LTRIM', wait, 0, -#taken - 1) end)
  end
end

local function claim_prioritized()
  while not stopped and #jobs < room do
    local ids = call('ZRANGE', prioritized, 0, room - #jobs - 1)
    if #ids == 0 then
      -- BullMQ looks at the limit first, and a limited queue keeps its counter.
      if limiter_max then limit_ms = limited_for() end
      if limit_ms == 0 then call('DEL', KEYS[10]) end
      return
    end
    claim_all(ids, function(taken) call('ZREM', prioritized, unpack(taken)) end)
  end
end
