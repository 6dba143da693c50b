--[[
  One exchange: write every verdict that is ready, then claim as many jobs as there is room for.

  Equivalence (design, decision 3): verdicts F in order through BullMQ's own scripts without fetching, then moveToActive
  until `room` jobs or one empty answer. What is not plain at the moment of finishing (parent, children, deduplication,
  a retention victim with a parent) goes through BullMQ's script, inside this one. Each item has a status of its own;
  one bad key never harms its neighbours.

  KEYS   1 wait  2 active  3 prioritized  4 events  5 stalled  6 limiter  7 delayed  8 paused  9 meta  10 pc
         11 marker  12 completed  13 failed  14 waiting-children
  ARGV   1 msgpack {prefix, now ms, claim token, lock ms, room, byte limit, promotion limit, plain allowed 0/1,
                    worker name or '', free}
         2 msgpack [run …]       consecutive verdicts that differ in id and a only:
                                 {token, ats, processedOn, atm, fields, kind, policy index, b, c, [id, a, id, a …]}
             fields how many fields the job's hash had when it was claimed, if it was bare then; else 0
             kind  c completed   a returnvalue
                   f failed      a reason  b stacktrace or ''  c attempts
                   d delayed     a delay ms  b '1' skip attempt, '0' count it  c msgpack fields or ''
                   r retry now   a 'LPUSH' or 'RPUSH'  c msgpack fields or ''
                   w waiting for children
                   b back to the head of the queue
                   l rate limited: back to the head, and the queue stops for a ms
         3 msgpack [policy …]    policy: {count, age seconds or -1, limit}; count -1 keeps all, 0 keeps none
  Reply  {statuses, jobs, notes, next delayed ms or 0, rate limit ms or 0, blocked, claimable left 0/1}
         blocked  0 no   1 maxed   2 paused
         statuses in the order of the verdicts; none at all if all of them are 0
         status   0 written   1 had been written before   -1 no such job   -3 not there to be finished
                  -4 pending children   -6 claimed by another   -9 failed children   'text' an error, nothing written
         jobs     runs of jobs that differ in id, data and timestamp only:
                  {name, opts, ats, atm, priority, fields, [rjk, parentKey, defa, stacktrace] or [],
                   [id, data, timestamp, id, data, timestamp …]}
                  fields  for the verdict, as above
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
local byte_limit, promotion_limit, plain_allowed, worker_name, free = head[6], head[7], head[8] == 1, head[9], head[10]
local wait, active, prioritized, events, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7]
local now_text, lock_text = string.format('%.0f', now), string.format('%d', lock_ms) -- once: a number costs each call

local meta = call('HMGET', KEYS[9], 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local paused, concurrency, limiter_max = meta[1], tonumber(meta[2]), tonumber(meta[3])

--- @include "exchange_pause"

-- ------------------------------------------------------------------------------------------------ verdicts
local ids, values, verdicts = {}, {}, {}   -- of each verdict: its job, its `a`, and what it shares with its run
local job_keys, lock_keys = {}, {}
for _, run in ipairs(cmsgpack.unpack(ARGV[2])) do
  local shared = {
    token = run[1], ats = run[2], processed_on = run[3], atm = run[4], fields = run[5],
    kind = run[6], policy = run[7], b = run[8], c = run[9],
  }
  local jobs = run[10]
  for i = 1, #jobs, 2 do
    local n = #ids + 1
    ids[n], values[n], verdicts[n] = jobs[i], jobs[i + 1], shared
    job_keys[n] = prefix .. jobs[i]
    lock_keys[n] = job_keys[n] .. ':lock'
  end
end
local policies = cmsgpack.unpack(ARGV[3])
local statuses, locks, settled = {}, {}, {}
local doomed, unstalled = {}, {}        -- keys to delete, ids to take out of `stalled`: in one command each
local kept = {}                          -- policy index -> 'completed'/'failed' -> what flush() has to write
local upstream_only = {}                 -- the same shape: these finishes may not be plain
local last_finish_was_plain = false

local function in_blocks(list, size, use)
  for from = 1, #list, size do
    use(from, math.min(from + size - 1, #list))
  end
end

local function read_locks()
  in_blocks(ids, 1000, function(from, to)
    local found = call('MGET', unpack(lock_keys, from, to))
    for i = from, to do locks[i] = found[i - from + 1] end
  end)
end

--- @include "exchange_active"
--- @include "exchange_retention"
--- @include "exchange_settle"

-- A job whose key became something else cannot be ended; left in `active` it would break the stalled checks.
local function take_out_if_unreadable(i)
  local kind = call('TYPE', job_keys[i]).ok
  if kind == 'hash' or kind == 'none' then return end
  flush()
  call('LREM', active, -1, ids[i])
  call('SREM', KEYS[5], ids[i])
  call('DEL', lock_keys[i])
end

local last_run                              -- the policy and state that the last kept finish was under
local function begins_new_run(verdict)
  if verdict.kind ~= 'c' and verdict.kind ~= 'f' then return false end
  if policies[verdict.policy][1] == 0 then return false end
  local run = verdict.policy .. verdict.kind
  local is_new = last_run ~= nil and last_run ~= run
  last_run = run
  return is_new
end

if #ids > 0 then
  read_locks()
  look_at_retention()
  look_beside_jobs()
  local all_are_written, last_verdict = true, nil
  for i, verdict in ipairs(verdicts) do
    if verdict ~= last_verdict then
      last_verdict = verdict
      if begins_new_run(verdict) then flush() end
    end
    local ok, status = pcall(settle, i)
    statuses[i] = ok and status or text_of(status)
    if status ~= 0 then all_are_written = false end
    if not ok then pcall(take_out_if_unreadable, i) end
  end
  flush()
  announce_if_drained()
  if all_are_written then statuses = {} end
end

-- ------------------------------------------------------------------------------------------------ claims
--- @include "exchange_claims"

-- What is claimed ahead of a free slot must not break a limit, nor keep a more urgent job waiting.
if room > free and (limiter_max or concurrency or call('EXISTS', prioritized) == 1) then room = free end

local blocked, next_due = false, 0
if room > 0 then
  blocked = is_blocked()
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < (now + 1) * 0x1000 then
    promote(blocked)
    first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  end
  limit_ms = limited_for()
  if limit_ms == 0 and not blocked then
    if concurrency then room = math.min(room, concurrency - call('LLEN', active)) end
    claim_waiting()
    claim_prioritized()
  end
  if first[2] then next_due = math.floor(tonumber(first[2]) / 0x1000) end
end

-- Who claims less than there is wakes the next one.
local left = 0
if (claimed > 0 or #ids > 0) and limit_ms == 0 and not is_blocked()
  and (call('EXISTS', wait) == 1 or call('EXISTS', prioritized) == 1) then
  left = 1
  call('ZADD', KEYS[11], '0', '0')
end

return { statuses, runs, notes, next_due, limit_ms, (blocked and paused and 2) or (blocked and 1) or 0, left }
