--[[
  One exchange: write every verdict that is ready, then claim as many jobs as there is room for.

  Equivalence (design, decision 3): verdicts F in order through BullMQ's own scripts without fetching, then moveToActive
  until `room` jobs or one empty answer. What is not plain at the moment of finishing (parent, children, deduplication,
  a retention victim with a parent) goes through BullMQ's script, inside this one. Each item has a status of its own;
  one bad key never harms its neighbours.

  KEYS   1 wait  2 active  3 prioritized  4 events  5 stalled  6 limiter  7 delayed  8 paused  9 meta  10 pc
         11 marker  12 completed  13 failed  14 waiting-children
  ARGV   1 msgpack {prefix, now ms, claim token, lock ms, room, byte limit, promotion limit, plain allowed 0/1,
                    worker name or ''}
         2 msgpack [item …]      item: {id, token, ats, processedOn, atm, kind, policy index, a, b, c}
             kind  c completed   a returnvalue
                   f failed      a reason  b stacktrace or ''  c attempts
                   d delayed     a delay ms  b '1' skip attempt, '0' count it  c msgpack fields or ''
                   r retry now   a 'LPUSH' or 'RPUSH'  c msgpack fields or ''
                   w waiting for children
                   b back to the head of the queue
                   l rate limited: back to the head, and the queue stops for a ms
         3 msgpack [policy …]    policy: {count, age seconds or -1, limit}; count -1 keeps all, 0 keeps none
  Reply  {statuses, jobs, notes, next delayed ms or 0, rate limit ms or 0, blocked 0/1, claimable left 0/1}
         status   0 written   1 had been written before   -1 no such job   -3 not there to be finished
                  -4 pending children   -6 claimed by another   -9 failed children   'text' an error, nothing written
         job      {id, ats, [the fields of CLAIMED]}
         note     {id, text}     a queue entry without a readable job: taken out
  Source: BullMQ moveToFinished-14, moveToActive-11 (the scripts that this one stands for).
]]
local call, pcall_redis = redis.call, redis.pcall
--- @upstream moveToFinished
--- @upstream moveToDelayed
--- @upstream retryJob
--- @upstream moveJobFromActiveToWait
--- @upstream moveToWaitingChildren

local head = cmsgpack.unpack(ARGV[1])
local prefix, now, claim_token, lock_ms, room = head[1], head[2], head[3], head[4], head[5]
local byte_limit, promotion_limit, plain_allowed, worker_name = head[6], head[7], head[8] == 1, head[9]
local wait, active, prioritized, events, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7]
local now_text = string.format('%.0f', now)

local meta = call('HMGET', KEYS[9], 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local paused, concurrency, limiter_max = meta[1], tonumber(meta[2]), tonumber(meta[3])

-- BullMQ 5 pauses by renaming `wait` to `paused`, and resumes by renaming it back over whatever is in `wait`. While it
-- has, what would go to `wait` goes to `paused` at the same end; in every other case `wait` is the list.
local paused_by_5 = paused and call('EXISTS', KEYS[8]) == 1
local waiting = paused_by_5 and KEYS[8] or wait

local function respect_pause_of_5(base, head_of_queue)
  if base == prefix then
    if not paused_by_5 then return end
  elseif call('HEXISTS', base .. 'meta', 'paused') == 0 or call('EXISTS', base .. 'paused') == 0 then
    return
  end
  if head_of_queue then
    local id = call('RPOP', base .. 'wait')
    if id then call('RPUSH', base .. 'paused', id) end
  end
  for _ = 1, 1000 do
    if not call('RPOPLPUSH', base .. 'wait', base .. 'paused') then return end
  end
end

local function text_of(failure)
  if type(failure) == 'table' then return failure.err or 'unknown error' end
  return tostring(failure)
end

-- ------------------------------------------------------------------------------------------------ verdicts
local items = cmsgpack.unpack(ARGV[2])
local policies = cmsgpack.unpack(ARGV[3])
local statuses, locks, settled = {}, {}, {}
local doomed, unstalled = {}, {}        -- keys to delete, ids to take out of `stalled`: in one command each
local kept = {}                          -- policy index -> 'completed'/'failed' -> {score, id, score, id, …}
local upstream_only = {}                 -- the same shape: these finishes may not be plain
local last_finish_was_plain = false

local function in_blocks(list, size, use)
  for from = 1, #list, size do
    use(from, math.min(from + size - 1, #list))
  end
end

local function read_locks()
  in_blocks(items, 1000, function(from, to)
    local names = {}
    for i = from, to do names[#names + 1] = prefix .. items[i][1] .. ':lock' end
    local values = call('MGET', unpack(names))
    for i = from, to do locks[i] = values[i - from + 1] end
  end)
end

-- Everything that was put off until the end of a run, written before somebody else looks at it.
local function flush()
  in_blocks(unstalled, 1000, function(from, to) call('SREM', KEYS[5], unpack(unstalled, from, to)) end)
  in_blocks(doomed, 1000, function(from, to) call('DEL', unpack(doomed, from, to)) end)
  unstalled, doomed = {}, {}
  for index, targets in pairs(kept) do
    local policy = policies[index]
    for state, members in pairs(targets) do
      local target = state == 'completed' and KEYS[12] or KEYS[13]
      in_blocks(members, 1000, function(from, to) call('ZADD', target, unpack(members, from, to)) end)
      local victims = {}
      if policy[2] > 0 then
        local oldest = now - policy[2] * 1000
        local limit = policy[3] * #members / 2
        local aged = call('ZREVRANGEBYSCORE', target, oldest, '-inf', 'LIMIT', 0, limit)
        for _, id in ipairs(aged) do victims[#victims + 1] = id end
        in_blocks(aged, 1000, function(from, to) call('ZREM', target, unpack(aged, from, to)) end)
      end
      if policy[1] > 0 then
        local over = call('ZREVRANGE', target, policy[1], -1)
        for _, id in ipairs(over) do victims[#victims + 1] = id end
        in_blocks(over, 1000, function(from, to) call('ZREM', target, unpack(over, from, to)) end)
      end
      for _, id in ipairs(victims) do
        local job = prefix .. id
        call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
          job .. ':unsuccessful')
      end
    end
  end
  kept = {}
end

-- Would keeping `more` jobs under this policy push out one that has a parent, or more than we like to look at?
local function victims_need_upstream(policy, target, more)
  local function has_parent(ids)
    if #ids > 1000 then return true end
    for _, id in ipairs(ids) do
      local parent = pcall_redis('HGET', prefix .. id, 'parentKey')
      if type(parent) == 'table' or (parent and parent ~= '') then return true end
    end
    return false
  end
  if policy[2] >= 0 then
    if policy[2] == 0 or policy[2] ~= math.floor(policy[2]) or policy[3] < 1 then return true end
    local oldest = now - policy[2] * 1000
    local ids = call('ZREVRANGEBYSCORE', target, oldest, '-inf', 'LIMIT', 0, math.min(policy[3] * more, 1001))
    if has_parent(ids) then return true end
  end
  if policy[1] > 0 then
    if policy[1] ~= math.floor(policy[1]) then return true end
    local over = call('ZCARD', target) + more - policy[1]
    if over > 0 and has_parent(call('ZRANGE', target, 0, over - 1)) then return true end
  end
  return false
end

local function look_at_retention()
  local counts = {}
  for _, item in ipairs(items) do
    if item[6] == 'c' or item[6] == 'f' then
      local index = item[7]
      if policies[index][1] ~= 0 then
        local state = item[6]
        counts[index] = counts[index] or {}
        counts[index][state] = (counts[index][state] or 0) + 1
      end
    end
  end
  local crowded = {}
  for index, by_state in pairs(counts) do
    for state, more in pairs(by_state) do
      crowded[state] = (crowded[state] or 0) + more
      by_state[state] = more
    end
  end
  for index, by_state in pairs(counts) do
    upstream_only[index] = {}
    for state in pairs(by_state) do
      -- All finishes of this state count: those under another policy push out jobs under this one too.
      upstream_only[index][state] =
        victims_need_upstream(policies[index], state == 'c' and KEYS[12] or KEYS[13], crowded[state])
    end
  end
end

-- May this verdict be written? Decision 6: the lock is ours; or it is gone, `ats` and `processedOn` are still ours and
-- nobody else holds the job (it is in `active`, or a stalled check put it back: taken out of there again).
local function hold(i, item)
  local id, job = item[1], prefix .. item[1]
  local lock = locks[i]
  if settled[id] then                       -- the same job twice in one batch: look again
    flush()
    lock = call('GET', job .. ':lock')
  end
  settled[id] = true
  if lock == item[2] then return nil end
  if lock then return -6 end
  local facts = call('HMGET', job, 'ats', 'processedOn', 'atm')
  if not facts[1] and not facts[2] then return call('EXISTS', job) == 0 and -1 or -3 end
  if tonumber(facts[1]) ~= item[3] or tonumber(facts[2]) ~= item[4] then return -6 end
  local kind = item[6]
  local counts_attempt = kind == 'c' or kind == 'f' or kind == 'r' or (kind == 'd' and item[9] == '0')
  local atm = tonumber(facts[3]) or 0
  if counts_attempt and atm == item[5] + 1 then return 1 end
  if atm ~= item[5] then return -6 end
  local stalled_back = false
  if call('LREM', active, -1, id) == 0 then
    if kind == 'b' and (call('LREM', wait, -1, id) > 0 or call('LREM', KEYS[8], -1, id) > 0) then
      call('RPUSH', waiting, id)
      return 1
    end
    if (kind == 'd' and call('ZSCORE', delayed, id)) or (kind == 'w' and call('ZSCORE', KEYS[14], id)) then
      return 1
    end
    if call('LREM', wait, -1, id) == 0 and call('LREM', KEYS[8], -1, id) == 0 then return -3 end
    stalled_back = true
  end
  call('LPUSH', active, id)
  call('SET', job .. ':lock', item[2], 'PX', lock_ms)
  if stalled_back and call('HGET', job, 'defa') == 'job stalled more than allowable limit' then
    call('HDEL', job, 'defa')
  end
  return nil
end

-- Finishing what is plain, in four commands. Returns nil, having written nothing, when it is not.
local function finish_plain(item)
  local id, kind, index = item[1], item[6], item[7]
  local policy = policies[index]
  if upstream_only[index] and upstream_only[index][kind] then return nil end
  local job = prefix .. id
  local facts = call('HMGET', job, 'name', 'parentKey', 'parent', 'deid', 'atm')
  if not facts[1] or facts[2] or facts[3] or facts[4] then return nil end
  if kind == 'c' and call('EXISTS', job .. ':dependencies', job .. ':unsuccessful') > 0 then return nil end
  local removed = call('LREM', active, -1, id)
  unstalled[#unstalled + 1] = id
  doomed[#doomed + 1] = job .. ':lock'
  local state, property = 'completed', 'returnvalue'
  if kind == 'f' then
    state, property = 'failed', 'failedReason'
    if item[9] ~= '' and (removed == 0 or policy[1] ~= 0) then
      call('HSET', job, 'failedReason', item[8], 'stacktrace', item[9])
    end
  end
  if removed == 0 then return -3 end
  if not meta[5] then
    meta[5] = '10000'
    call('HSET', KEYS[9], 'opts.maxLenEvents', meta[5])
  end
  if not last_finish_was_plain then call('XTRIM', events, 'MAXLEN', '~', meta[5]) end
  last_finish_was_plain = true
  local attempts_made = (tonumber(facts[5]) or 0) + 1
  if policy[1] ~= 0 then
    kept[index] = kept[index] or {}
    local members = kept[index][state] or {}
    kept[index][state] = members
    members[#members + 1] = now_text
    members[#members + 1] = id
    call('HSET', job, 'atm', attempts_made, property, item[8], 'finishedOn', now_text)
    if kind == 'f' then call('HDEL', job, 'defa') end
  else
    for _, suffix in ipairs({ '', ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful' }) do
      doomed[#doomed + 1] = job .. suffix
    end
  end
  call('XADD', events, '*', 'event', state, 'jobId', id, property, item[8], 'prev', 'active')
  if kind == 'f' and attempts_made >= item[10] then
    call('XADD', events, '*', 'event', 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts_made)
  end
  return 0
end

local function announce_if_drained()
  if last_finish_was_plain and call('LLEN', wait) == 0 and call('LLEN', active) == 0
    and call('ZCARD', prioritized) == 0 then
    call('XADD', events, '*', 'event', 'drained')
  end
  last_finish_was_plain = false
end

local function finish_upstream(item)
  local id, kind = item[1], item[6]
  local job, policy = prefix .. id, policies[item[7]]
  local keep = { count = policy[1] }
  if policy[2] >= 0 then keep.age = policy[2] end
  if policy[3] > 0 then keep.limit = policy[3] end
  local state = kind == 'c' and 'completed' or 'failed'
  local fields = ''
  if kind == 'f' and item[9] ~= '' then
    fields = cmsgpack.pack({ 'failedReason', item[8], 'stacktrace', item[9] })
  end
  local parent = call('HGET', job, 'parentKey')
  local result = upstream_moveToFinished(
    { wait, active, prioritized, events, KEYS[5], KEYS[6], delayed, KEYS[8], KEYS[9], KEYS[10],
      kind == 'c' and KEYS[12] or KEYS[13], job, prefix .. 'metrics:' .. state, KEYS[11] },
    { id, now_text, kind == 'c' and 'returnvalue' or 'failedReason', item[8], state, '', prefix,
      cmsgpack.pack({ token = item[2], keepJobs = keep, attempts = kind == 'f' and item[10] or 1,
        maxMetricsSize = '' }), fields })
  if parent and parent ~= '' then
    local base = string.match(parent, '^(.*:)[^:]*$')
    if base then respect_pause_of_5(base, false) end
  end
  respect_pause_of_5(prefix, false)
  return result
end

local settle_other
function settle_other(item)
  local id, kind, job = item[1], item[6], prefix .. item[1]
  if kind == 'd' then
    local result = upstream_moveToDelayed(
      { KEYS[11], active, prioritized, delayed, job, events, KEYS[9], KEYS[5], wait, KEYS[6], KEYS[10] },
      { prefix, now_text, id, item[2], string.format('%.0f', item[8]), item[9], item[10], '0' })
    return result
  elseif kind == 'r' then
    local result = upstream_retryJob(
      { active, wait, KEYS[8], job, KEYS[9], events, delayed, prioritized, KEYS[10], KEYS[11], KEYS[5] },
      { prefix, now_text, item[8], id, item[2], item[10] })
    respect_pause_of_5(prefix, item[8] == 'RPUSH')
    return result
  elseif kind == 'w' then
    local result = upstream_moveToWaitingChildren(
      { active, KEYS[14], job, job .. ':dependencies', job .. ':unsuccessful', KEYS[5], events },
      { item[2], '', now_text, id, prefix })
    if result ~= 1 then return result end
    -- No child is pending (any more): run again soon, rather than at once for ever.
    return settle_other({ id, item[2], item[3], item[4], item[5], 'd', item[7], 1000, '1', '' })
  end
  if kind == 'l' then call('SET', KEYS[6], '9007199254740991', 'PX', item[8]) end
  local result = upstream_moveJobFromActiveToWait(
    { active, wait, KEYS[5], KEYS[8], KEYS[9], KEYS[6], prioritized, KEYS[11], events },
    { id, item[2], job })
  if result < 0 then return result end
  respect_pause_of_5(prefix, true)
  if not paused then call('ZADD', KEYS[11], 0, '0') end
  return 0
end

local function settle(i, item)
  local status = hold(i, item)
  if status then return status end
  local kind = item[6]
  if kind == 'c' or kind == 'f' then
    local result = plain_allowed and finish_plain(item) or nil
    if result == nil then
      flush()
      announce_if_drained()
      result = finish_upstream(item)
    end
    return result
  end
  flush()
  announce_if_drained()
  return settle_other(item)
end

local last_run                              -- the policy and state that the last kept finish was under
local function begins_new_run(item)
  if item[6] ~= 'c' and item[6] ~= 'f' then return false end
  if policies[item[7]][1] == 0 then return false end
  local run = item[7] .. item[6]
  local is_new = last_run ~= nil and last_run ~= run
  last_run = run
  return is_new
end

if #items > 0 then
  read_locks()
  look_at_retention()
  for i, item in ipairs(items) do
    if begins_new_run(item) then flush() end
    local ok, status = pcall(settle, i, item)
    statuses[i] = ok and status or text_of(status)
  end
  flush()
  announce_if_drained()
end

-- ------------------------------------------------------------------------------------------------ claims
-- CLAIMED: what a worker needs of a job, in this order.
local CLAIMED = { 'name', 'data', 'opts', 'ats', 'atm', 'stc', 'timestamp', 'priority', 'delay', 'rjk', 'parentKey',
  'defa', 'stacktrace' }
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
  local locked = pcall_redis('SET', job .. ':lock', claim_token, 'PX', lock_ms)
  if locked.err then
    notes[#notes + 1] = { '', locked.err }
    return 'stop'
  end
  bytes = bytes + size
  local ats = (tonumber(facts[4]) or 0) + 1
  call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  if worker_name ~= '' then
    call('HSET', job, 'processedOn', now_text, 'ats', ats, 'pb', worker_name)
  else
    call('HSET', job, 'processedOn', now_text, 'ats', ats)
  end
  if limiter_max and not facts[12] and call('INCR', KEYS[6]) == 1 then
    call('PEXPIRE', KEYS[6], math.floor(math.abs(tonumber(meta[4]) or 0)))
  end
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
      call('DEL', KEYS[10])
      return
    end
    claim_all(ids, function(taken) call('ZREM', prioritized, unpack(taken)) end)
  end
end

local blocked, next_due = false, 0
if room > 0 then
  blocked = is_blocked()
  promote(blocked)
  limit_ms = limited_for()
  if limit_ms == 0 and not blocked then
    if concurrency then room = math.min(room, concurrency - call('LLEN', active)) end
    claim_waiting()
    claim_prioritized()
  end
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] then next_due = math.floor(tonumber(first[2]) / 0x1000) end
end

-- Who claims less than there is wakes the next one.
local left = 0
if (#jobs > 0 or #items > 0) and limit_ms == 0 and not is_blocked()
  and (call('EXISTS', wait) == 1 or call('EXISTS', prioritized) == 1) then
  left = 1
  call('ZADD', KEYS[11], 0, '0')
end

return { statuses, jobs, notes, next_due, limit_ms, blocked and 1 or 0, left }
