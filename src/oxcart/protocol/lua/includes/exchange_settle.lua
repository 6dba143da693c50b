-- How is one verdict written? Here if it is plain, else through BullMQ's script.
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
  flush()                                   -- what leaves `active` later may not be counted from its end any more
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

-- `bare`: none of these jobs has anything beside its hash that matters to its end, seen in one look at all of them.
local bare = false
local function look_beside_jobs()
  local names = {}
  for _, item in ipairs(items) do
    local kind = item[6]
    if (kind == 'c' or kind == 'f') and policies[item[7]][1] == 0 then
      for _, suffix in ipairs(BESIDE_A_JOB) do names[#names + 1] = prefix .. item[1] .. suffix end
    elseif kind == 'c' then
      names[#names + 1] = prefix .. item[1] .. ':dependencies'
      names[#names + 1] = prefix .. item[1] .. ':unsuccessful'
    end
  end
  bare = true
  in_blocks(names, 1000, function(from, to)
    bare = bare and call('EXISTS', unpack(names, from, to)) == 0
  end)
end

-- Finishing what is plain, in as few commands as there can be. Returns nil, having written nothing, when it is not.
local function finish_plain(item)
  local id, kind, index = item[1], item[6], item[7]
  local policy = policies[index]
  if upstream_only[index] and upstream_only[index][kind] then return nil end
  local job = prefix .. id
  local facts = call('HMGET', job, 'name', 'parentKey', 'parent', 'deid', 'atm')
  if not facts[1] or facts[2] or facts[3] or facts[4] then return nil end
  if kind == 'c' and not bare and call('EXISTS', job .. ':dependencies', job .. ':unsuccessful') > 0 then
    return nil
  end
  local was_active = leave_active(id)
  unstalled[#unstalled + 1] = id
  doomed[#doomed + 1] = job .. ':lock'
  local state, property = 'completed', 'returnvalue'
  if kind == 'f' then
    state, property = 'failed', 'failedReason'
    if item[9] ~= '' and (not was_active or policy[1] ~= 0) then
      call('HSET', job, 'failedReason', item[8], 'stacktrace', item[9])
    end
  end
  if not was_active then return -3 end
  if not meta[5] then
    meta[5] = '10000'
    call('HSET', KEYS[9], 'opts.maxLenEvents', meta[5])
  end
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
    doomed[#doomed + 1] = job
    if not bare then
      for _, suffix in ipairs(BESIDE_A_JOB) do doomed[#doomed + 1] = job .. suffix end
    end
  end
  if last_finish_was_plain then
    call('XADD', events, '*', 'event', state, 'jobId', id, property, item[8], 'prev', 'active')
  else
    call('XADD', events, 'MAXLEN', '~', meta[5], '*', 'event', state, 'jobId', id, property, item[8], 'prev', 'active')
    last_finish_was_plain = true
  end
  if kind == 'f' and attempts_made >= item[10] then
    call('XADD', events, '*', 'event', 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts_made)
  end
  return 0
end

local function announce_if_drained()
  if last_finish_was_plain and call('EXISTS', wait) == 0 and call('EXISTS', active) == 0
    and call('ZCARD', prioritized) == 0 then
    call('XADD', events, '*', 'event', 'drained')
  end
  last_finish_was_plain = false
end

local function finish_upstream(item)
  bare = false                              -- it may touch other jobs: their neighbours are looked at one by one
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
  bare = false
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
