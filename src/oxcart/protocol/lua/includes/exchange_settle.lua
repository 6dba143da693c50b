-- How is one verdict written? Here if it is plain, else through BullMQ's script.
local function counts_attempt(verdict)
  local kind = verdict.kind
  return kind == 'c' or kind == 'f' or kind == 'r' or (kind == 'd' and verdict.b == '0')
end

-- What an earlier try of ours has left of a job that has ended.
local function forget(i)
  flush()
  call('LREM', active, -1, ids[i])
  call('SREM', KEYS[5], ids[i])
  if locks[i] == verdicts[i].token then call('DEL', lock_keys[i]) end
end

-- Was an earlier try of this verdict, which has counted the attempt, cut off before its end? To leave `active` is the last
-- that it does; a stalled check may have put the job back since.
local function was_cut_off(id, finished_on)
  return call('LPOS', active, id) or finished_on and (call('LPOS', wait, id) or call('LPOS', KEYS[8], id))
end

-- May this verdict be written? Decision 6: the lock is ours; or it is gone, `ats` and `processedOn` are still ours and
-- nobody else holds the job (it is in `active`, or a stalled check put it back: taken out of there again).
local function hold(i)
  local id, verdict = ids[i], verdicts[i]
  local lock = locks[i]
  if settled[id] then                       -- the same job twice in one batch: look again
    flush()
    lock = call('GET', lock_keys[i])
    locks[i] = lock
  end
  settled[id] = true
  if lock == verdict.token then return nil end
  if lock then return -6 end
  local job = job_keys[i]
  local facts = call('HMGET', job, 'ats', 'processedOn', 'atm', 'finishedOn')
  if not facts[1] and not facts[2] then
    if call('EXISTS', job) == 1 then return -3 end
    forget(i)
    return -1
  end
  if tonumber(facts[1]) ~= verdict.ats then return -6 end
  local atm, processed_on = tonumber(facts[3]) or 0, tonumber(facts[2])
  if counts_attempt(verdict) then
    if atm == verdict.atm + 1 and processed_on == verdict.processed_on then
      if not was_cut_off(id, facts[4]) then return 1 end
      atm = verdict.atm
    end
  elseif processed_on == verdict.processed_on + 1 then -- let go of before: see write_other()
    if not was_cut_off(id) then return 1 end
    processed_on = verdict.processed_on
  end
  if atm ~= verdict.atm or processed_on ~= verdict.processed_on then return -6 end
  flush()                                   -- what leaves `active` later may not be counted from its end any more
  for _, list in ipairs({ active, wait, KEYS[8] }) do
    if call('LPOS', list, id) then
      call('LPUSH', active, id)             -- first of all: a job with our lock is in `active`
      local set = pcall_redis('SET', lock_keys[i], verdict.token, 'PX', lock_ms)
      if set.err then
        pcall_redis('LREM', active, 1, id)
        error(set, 0)
      end
      call('LREM', list, -1, id)
      if list ~= active and call('HGET', job, 'defa') == 'job stalled more than allowable limit' then
        call('HDEL', job, 'defa')
      end
      return nil
    end
  end
  return -3
end

-- `bare`: none of these jobs has anything beside its hash that matters to its end, seen in one look at all of them.
local bare = false
local function look_beside_jobs()
  local names, n = {}, 0
  for i = 1, count do
    local verdict, job = verdicts[i], job_keys[i]
    local kind = verdict.kind
    if (kind == 'c' or kind == 'f') and policies[verdict.policy][1] == 0 then
      for k = 1, #BESIDE_A_JOB do names[n + k] = job .. BESIDE_A_JOB[k] end
      n = n + #BESIDE_A_JOB
    elseif kind == 'c' then
      names[n + 1], names[n + 2] = job .. ':dependencies', job .. ':unsuccessful'
      n = n + 2
    end
  end
  bare = true
  in_blocks(names, 1000, function(from, to)
    bare = bare and call('EXISTS', unpack(names, from, to)) == 0
  end)
end

-- How often was this job tried before, if its end is plain? Else nil. A hash that has as many fields as when it was claimed
-- bare is bare: no script of BullMQ takes a field from an active job without a parent.
local function attempts_if_plain(job, verdict)
  if verdict.fields > 0 and call('HLEN', job) == verdict.fields then return 0 end
  local facts = call('HMGET', job, 'name', 'parentKey', 'parent', 'deid', 'atm')
  if not facts[1] or facts[2] or facts[3] or facts[4] then return nil end
  local made = tonumber(facts[5]) or 0
  return made == verdict.atm + 1 and verdict.atm or made -- that one more is ours, of a try that was cut off
end

-- Finishing what is plain, in as few commands as there can be. Returns nil, having written nothing, when it is not.
local function finish_plain(i)
  local id, value, verdict = ids[i], values[i], verdicts[i]
  local kind, index = verdict.kind, verdict.policy
  local keeps = policies[index][1] ~= 0
  if upstream_only[index] and upstream_only[index][kind] then return nil end
  local job = job_keys[i]
  local attempts_made = attempts_if_plain(job, verdict)
  if not attempts_made then return nil end
  if kind == 'c' and not bare and call('EXISTS', job .. ':dependencies', job .. ':unsuccessful') > 0 then
    return nil
  end
  attempts_made = attempts_made + 1
  if is_any_stalled then unstalled[#unstalled + 1] = id end
  if not is_active(id) then
    locks_left[#locks_left + 1] = lock_keys[i]
    local facts = call('HMGET', job, 'finishedOn', 'atm')
    if facts[1] and tonumber(facts[2]) == verdict.atm + 1 then return 1 end -- a try of ours was cut off just before its end
    if kind == 'f' and verdict.b ~= '' then call('HSET', job, 'failedReason', value, 'stacktrace', verdict.b) end
    return -3
  end
  local state, property = 'completed', 'returnvalue'
  if kind == 'f' then state, property = 'failed', 'failedReason' end
  if not last_finish_was_plain then
    -- Before the event, as BullMQ does: a stream that keeps none tells it all the same. And a server whose memory is full
    -- lets a script through that has written something: what finishes frees some.
    call('XTRIM', events, 'MAXLEN', '~', meta[5] or 10000)
    last_finish_was_plain = true
  end
  if not meta[5] then
    meta[5] = '10000'
    call('HSET', KEYS[9], 'opts.maxLenEvents', meta[5])
  end
  call('XADD', events, '*', 'event', state, 'jobId', id, property, value, 'prev', 'active')
  if kind == 'f' and attempts_made >= verdict.c then
    call('XADD', events, '*', 'event', 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts_made)
  end
  leave_active(id)
  if keeps then
    kept[index] = kept[index] or {}
    local run = kept[index][kind] or { members = {}, writes = {} }
    kept[index][kind] = run
    local members = run.members
    members[#members + 1] = now_text
    members[#members + 1] = id
    run.writes[#run.writes + 1] = { job, attempts_made, property, value, verdict.b }
    locks_left[#locks_left + 1] = lock_keys[i]
  else
    doom(lock_keys[i])
    doom(job)
    if not bare then
      for _, suffix in ipairs(BESIDE_A_JOB) do doom(job .. suffix) end
    end
  end
  return 0
end

-- As a worker of BullMQ, which asks for the next job first: it tells nothing while delayed jobs are to come, or in a pause.
local function announce_if_drained()
  if last_finish_was_plain and not paused and call('EXISTS', wait, active, prioritized, delayed) == 0 then
    pcall_redis('XADD', events, '*', 'event', 'drained') -- a notice, of what is written
  end
  last_finish_was_plain = false
end

-- A parent that this end releases may wait in another queue, which is paused or not by itself.
local function paused_queue_of_parent(job)
  local base = string.match(call('HGET', job, 'parentKey') or '', '^(.*:)[^:]*$')
  return base and base ~= prefix and call('HEXISTS', base .. 'meta', 'paused') == 1 and base or nil
end

-- BullMQ 5.9 and its next wrote ignoreDependencyOnFailure into the options alone; the script reads it of `parent`.
local function tell_parent_field(job)
  local parent, opts = unpack(call('HMGET', job, 'parent', 'opts'))
  if parent and opts and string.find(opts, '"idof":true', 1, true) and not string.find(parent, '"idof":', 1, true) then
    call('HSET', job, 'parent', (string.gsub(parent, '}%s*$', ',"idof":true}')))
  end
end

local function finish_upstream(i)
  --- @upstream moveToFinished
  bare = false                              -- it may touch other jobs: their neighbours are looked at one by one
  local id, value, verdict = ids[i], values[i], verdicts[i]
  local kind, job, policy = verdict.kind, job_keys[i], policies[verdict.policy]
  local keep = { count = policy[1] }
  if policy[2] >= 0 then keep.age = policy[2] end
  if policy[3] > 0 then keep.limit = policy[3] end
  local state = kind == 'c' and 'completed' or 'failed'
  local fields = ''
  if kind == 'f' and verdict.b ~= '' then
    fields = cmsgpack.pack({ 'failedReason', value, 'stacktrace', verdict.b })
  end
  if kind == 'f' then tell_parent_field(job) end
  local base = paused_queue_of_parent(job)
  if base then gather(base .. 'wait', base .. 'paused', base .. 'wait') end
  local result = carefully(upstream_moveToFinished,
    { wait, active, prioritized, events, KEYS[5], KEYS[6], delayed, KEYS[8], KEYS[9], KEYS[10],
      kind == 'c' and KEYS[12] or KEYS[13], job, prefix .. 'metrics:' .. state, KEYS[11] },
    { id, now_text, kind == 'c' and 'returnvalue' or 'failedReason', value, state, '', prefix,
      cmsgpack.pack({ token = verdict.token, keepJobs = keep, attempts = kind == 'f' and verdict.c or 1,
        maxMetricsSize = '' }), fields },
    { at_once = KEYS[5], attempts = { job, verdict.atm + 1 } })
  if paused or call('EXISTS', delayed) == 1 then -- see announce_if_drained(): without a next job the script tells it too early
    local last = call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
    if last and last[2][2] == 'drained' then call('XDEL', events, last[1]) end
  end
  if base then gather(base .. 'wait', base .. 'paused', base .. 'paused') end
  if call('HEXISTS', job, 'parentKey') == 1 then -- who ends after it may push it out: its parent is to be told
    for index, kinds in pairs(upstream_only) do
      kinds[kind] = kinds[kind] or policies[index][1] > 0 or policies[index][2] >= 0
    end
  end
  return result
end

local function delay(i, delay_ms, skips_attempt, fields, given)
  --- @upstream moveToDelayed
  return carefully(upstream_moveToDelayed,
    { KEYS[11], active, prioritized, delayed, job_keys[i], events, KEYS[9], KEYS[5], wait, KEYS[6], KEYS[10] },
    { prefix, now_text, ids[i], verdicts[i].token, string.format('%.0f', delay_ms), skips_attempt, fields, '0' }, given)
end

local function write_other(i)
  local id, value, verdict = ids[i], values[i], verdicts[i]
  local kind, job = verdict.kind, job_keys[i]
  local given = { at_once = KEYS[5], attempts = { job, verdict.atm + 1 } }
  if not counts_attempt(verdict) then
    -- It goes back with its attempts unchanged, and is no longer this claim's: a renewal, or the same verdict once more,
    -- that the server executes later must not take it into `active` again. A millisecond more in `processedOn` says so.
    local at = verdict.processed_on
    given.let_go = { { 'HSET', job, 'processedOn', string.format('%.0f', at + 1) },
      { 'HSET', job, 'processedOn', string.format('%.0f', at) } }
  end
  if kind == 'd' then return delay(i, value, verdict.b, verdict.c, given) end
  if kind == 'r' then
    --- @upstream retryJob
    --- @include "exchange_promote"
    promote(paused or concurrency and call('LLEN', active) >= concurrency) -- as the script would, one by one
    return carefully(upstream_retryJob,
      { active, wait, KEYS[8], job, KEYS[9], events, delayed, prioritized, KEYS[10], KEYS[11], KEYS[5] },
      { prefix, now_text, value, id, verdict.token, verdict.c }, given)
  end
  if kind == 'w' then
    --- @upstream moveToWaitingChildren
    local result = carefully(upstream_moveToWaitingChildren,
      { active, KEYS[14], job, job .. ':dependencies', job .. ':unsuccessful', KEYS[5], events },
      { verdict.token, '', now_text, id, prefix }, given)
    if result ~= 1 then return result end
    -- No child is pending (any more): run again soon, rather than at once for ever.
    return delay(i, 1000, '1', '', given)
  end
  if kind == 'l' then call('SET', KEYS[6], '9007199254740991', 'PX', value) end
  --- @upstream moveJobFromActiveToWait
  local result = carefully(upstream_moveJobFromActiveToWait,
    { active, wait, KEYS[5], KEYS[8], KEYS[9], KEYS[6], prioritized, KEYS[11], events },
    { id, verdict.token, job }, given)
  if result < 0 then return result end
  if not paused then pcall_redis('ZADD', KEYS[11], 0, '0') end
  return 0
end

local function settle(i)
  local status = hold(i)
  if status then return status end
  local kind = verdicts[i].kind
  if kind == 'c' or kind == 'f' then
    local result = plain_allowed and finish_plain(i) or nil
    if result == nil then
      flush()
      announce_if_drained()
      result = finish_upstream(i)
      if result == -1 then forget(i) end
    end
    return result
  end
  flush()
  announce_if_drained()
  bare = false
  return write_other(i)
end
