--[[
  One exchange: write every verdict that is ready, then claim as many jobs as there is room for.

  Equivalence (docs/decisions.md, 3): verdicts F in order through BullMQ's own scripts without fetching, then moveToActive
  until `room` jobs or one empty answer. What is not plain at the moment of finishing (parent, children, deduplication,
  a retention victim with a parent) goes through BullMQ's script, inside this one. Each item has a status of its own;
  one bad key never harms its neighbours.

  KEYS   1 wait  2 active  3 prioritized  4 events  5 stalled  6 limiter  7 delayed  8 paused  9 meta  10 pc
         11 marker  12 completed  13 failed  14 waiting-children
  ARGV   1 msgpack {prefix, now ms (0: the server's own time), claim token, lock ms, room, byte limit,
                    promotion limit, plain allowed 0/1, worker name or '', free, how many foreign jobs to look at,
                    minutes of metrics to keep (0: none are written), this worker's limiter: max (0: none), duration ms}
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
             d with '1', w, b and l leave the attempts as they are; each adds 1 ms to `processedOn`, so that a renewal
             or a repetition that comes later knows that the claim is over
         3 msgpack [policy …]    policy: {count, age seconds or -1, limit}; count -1 keeps all, 0 keeps none
         4 msgpack {excludes 0/1, name …}  claim jobs of these names only, or of all but these; not given: of all names
         5 the cursor of the last answer, for the same names; '' looks from the beginning
  Reply  {statuses, jobs, notes, next delayed ms or 0, rate limit ms or 0, blocked, claimable left 0/1, now ms,
          how long `active` is now, plenty, more, foreign, cursor, last event}
         blocked  0 no   1 maxed   2 paused
         statuses in the order of the verdicts; none at all if all of them are 0
         status   0 written   1 had been written before   -1 no such job   -3 not there to be finished
                  -4 pending children   -6 claimed by another   -9 failed children   'text' an error, nothing written
         jobs     runs of jobs that differ in id, data and timestamp only:
                  {name, opts, ats, atm, priority, fields, [rjk, parentKey, defa, stacktrace, stc, trial] or [],
                   [id, data, timestamp, id, data, timestamp …]}
                  fields  for the verdict, as above
                  stc     how often it lost its worker, if no handler of it has ended since; trial: protocol/suspects.py
                  opts    without the values of jobId and tm, which are each job's own, if the list is []
         note     {id, text}     a queue entry without a readable job: taken out
         more     1 if jobs of other names were before what is ours, so many that not all were looked at: ask again at once
         foreign  {name, how many, timestamp ms of the oldest} of what was passed over now, at most 20 names
         cursor   for the next exchange; '' if nothing foreign is known; as it was given, without room
         last event  id of an entry of `events`, if something foreign is known, else '': whatever is added, or put back, and
                  was not looked at has a later one. '' also if the queue keeps no events: that of an add is gone at once
         left     with names: 1 only if something that was not looked at is there
         plenty   1 if the claim filled its room, or stopped at the byte limit with more behind it; else 0
  Source: BullMQ moveToFinished-14, moveToActive-11 (the scripts that this one stands for).
]]
local call, pcall_redis = redis.call, redis.pcall
local head = cmsgpack.unpack(ARGV[1])
local prefix, now, claim_token, lock_ms, room = head[1], head[2], head[3], head[4], head[5]
local byte_limit, promotion_limit, plain_allowed, worker_name = head[6], head[7], head[8] == 1, head[9]
local free, look_limit, metrics_size = head[10], head[11], head[12]
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local statuses, runs, notes = {}, {}, {}    -- runs: what is handed out, jobs that have much in common together
local wait, active, prioritized, events, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7]
local now_text, lock_text = string.format('%.0f', now), string.format('%d', lock_ms) -- once: a number costs each call

local meta = call('HMGET', KEYS[9], 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local paused, concurrency, limiter_max, limiter_ms = meta[1], tonumber(meta[2]), tonumber(meta[3]), meta[4]
if head[13] > 0 then limiter_max, limiter_ms = limiter_max or head[13], head[14] end -- the queue's maximum, our duration

--- @include "follow_pause"
if paused then gather(wait, KEYS[8], wait) end -- until the end of this script: BullMQ's scripts push to `wait`

local function in_blocks(list, size, use)
  for from = 1, #list, size do
    use(from, math.min(from + size - 1, #list))
  end
end

local function text_of(failure)
  if type(failure) == 'table' then return failure.err or 'unknown error' end
  return tostring(failure)
end

--- @include "exchange_keys"

-- The two halves are functions, made where there is something for them to do: each closure costs an exchange of one job
-- more than the commands that it sends, and one inside another takes the variables around it for nothing.
local given = cmsgpack.unpack(ARGV[2])
if #given > 0 then
  local function write_verdicts()
    --- @include "exchange_verdicts"
  end
  local ok, failure = pcall(write_verdicts)
  if not ok then
    look_at_keys()
    error(failure, 0)
  end
end

local claimed = 0                           -- how many jobs
local blocked, limit_ms, next_due = false, 0, 0
local running                               -- how long `active` is; nil while that is not known
local is_plenty = false
local names, excludes = nil, false          -- which names are ours: all, if nil
local more, foreign, cursor, last_event = 0, {}, ARGV[5] or '', ''
local known, looked_at_all = nil, false     -- of foreign jobs, if any were met: includes/exchange_names.lua
local write_cursor                          -- includes/exchange_cursor.lua
local give_up_locked                        -- includes/exchange_claims.lua
if room > 0 then
  if ARGV[4] then
    local given_names = cmsgpack.unpack(ARGV[4])
    names, excludes = {}, given_names[1] == 1
    for i = 2, #given_names do names[given_names[i]] = true end
  end
  local function claim_jobs()
    --- @include "exchange_claims"
  end
  local ok, failure = pcall(claim_jobs)
  if not ok then                            -- what is written, or claimed, is told all the same
    give_up_locked()
    look_at_keys()
    if claimed == 0 and #given == 0 then error(failure, 0) end
    notes[#notes + 1] = { '', text_of(failure) }
  end
end

if not running then
  running = pcall_redis('LLEN', active)
  if type(running) == 'table' then running = 0 end -- a key of the wrong type: no job of ours is there
end

-- Who claims less than there is wakes the next one; and so does who leaves what is foreign. No answer is lost for that.
local left, failure = 0, nil
if (claimed > 0 or #given > 0 or known) and limit_ms == 0 and not (paused or (concurrency and running >= concurrency)) then
  local waiting = pcall_redis('EXISTS', wait, prioritized)
  if waiting ~= 0 then
    left = looked_at_all and 0 or 1
    failure = pcall_redis('ZADD', KEYS[11], '0', '0')
  end
end
local is_written, is_gathered = true, true
if known then is_written, failure = pcall(write_cursor) end
if paused then is_gathered, failure = pcall(gather, wait, KEYS[8], KEYS[8]) end
if not (is_written and is_gathered) or type(failure) == 'table' then notes[#notes + 1] = { '', text_of(failure) } end
return { statuses, runs, notes, next_due, limit_ms, (blocked and paused and 2) or (blocked and 1) or 0, left, now,
  running, is_plenty and 1 or 0, more, foreign, cursor, last_event }
