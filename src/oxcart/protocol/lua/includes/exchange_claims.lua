-- Which jobs come out? `wait` first, the oldest first, then the most urgent of `prioritized`, as moveToActive has it.
--- @include "exchange_promote"
local ats_as_text = {}                      -- a number given to call() is formatted anew each time
-- How long the queue is rate limited, in ms; 0 if it is not. A limit that a handler asked for (the largest safe
-- integer, as Node's rateLimit writes it) holds whether or not the queue has a maximum.
local function limited_for()
  local used = tonumber(call('GET', KEYS[6]) or 0)
  if used and used >= (limiter_max or 9007199254740991) then
    local ttl = call('PTTL', KEYS[6])
    if ttl == 0 or ttl == -1 then call('DEL', KEYS[6]) end -- -1: a script was cut off before it set its end
    if ttl > 0 then return ttl end
  end
  return 0
end

--- @include "exchange_options"

local run, jobs_of_run = nil, 0
local function hand_out(id, data, timestamp, name, opts, ats, atm, priority, fields, rest)
  if not run or rest or run[7][1] ~= nil or run[2] ~= opts or run[1] ~= name or run[3] ~= ats or run[4] ~= atm
    or run[5] ~= priority or run[6] ~= fields then
    run, jobs_of_run = { name, opts, ats, atm, priority, fields, rest or {}, {} }, 0
    runs[#runs + 1] = run
  end
  local jobs, n = run[8], jobs_of_run
  jobs[n + 1], jobs[n + 2], jobs[n + 3] = id, data, timestamp
  jobs_of_run = n + 3
  claimed = claimed + 1
end

local function is_foreign(name)
  return (names[name] or false) == excludes
end

local seen_at, seen = {}, 0                 -- name -> its place in `foreign`
local function note_foreign(name, timestamp)
  local at, since = seen_at[name], tonumber(timestamp) or 0
  if at then
    local entry = foreign[at]
    entry[2], entry[3] = entry[2] + 1, math.min(entry[3], since)
  elseif seen < 20 then
    seen = seen + 1
    seen_at[name], foreign[seen] = seen, { name, 1, since }
  end
end

-- It could not be read. Because its key is something else, or for a reason that may pass?
local function is_no_job(job)
  local kind = pcall_redis('TYPE', job).ok
  return kind and kind ~= 'hash' and kind ~= 'none'
end

local bytes = 0
local stopped = false
local locked, locked_count = {}, 0          -- those that are locked, and not in `active` yet
local runs_before, claimed_before = 0, 0    -- how much was handed out without them

local function stop(failure)
  notes[#notes + 1] = { '', text_of(failure) }
  stopped = true
  look_at_keys()
  return 'stop'
end

give_up_locked = function()
  for i = 1, locked_count do pcall_redis('DEL', prefix .. locked[i] .. ':lock') end
  for i = #runs, runs_before + 1, -1 do runs[i] = nil end
  claimed, locked_count, run = claimed_before, 0, nil
end

-- What is claimed is in `active` before it leaves the list that it was in; should it not get there, it stays in that one.
local function put_into_active()
  if locked_count == 0 then return true end
  local length = pcall_redis('LPUSH', active, unpack(locked, 1, locked_count))
  if type(length) == 'table' then
    give_up_locked()
    stop(length)
    return false
  end
  running = length
  locked_count, run = 0, nil
  runs_before, claimed_before = #runs, claimed
  return true
end

local own_names
local function is_own_name(id)
  if not own_names then
    own_names = { id = true, ['repeat'] = true, ['stalled-check'] = true }
    for _, key in ipairs(KEYS) do own_names[string.sub(key, #prefix + 1)] = true end
  end
  return own_names[id]
end

-- 'claimed', 'foreign', 'dropped' (nothing there to run), or 'stop' (no more in this exchange).
local function claim(id)
  local job = prefix .. id
  if #id < 17 and (string.byte(id) or 0) > 57 and is_own_name(id) then -- a word, and a short one
    notes[#notes + 1] = { id, look_at_keys(id) }
    return 'dropped'
  end
  local facts = pcall_redis('HGETALL', job) -- in one scan; to look for the fields that a job may have takes one for each
  if facts.err then
    if not is_no_job(job) then return stop(facts) end
    notes[#notes + 1] = { id, facts.err }
    return 'dropped'
  end
  local name, data, opts, timestamp, priority, ats, atm = false, false, false, false, false, false, false
  local rjk, parent_key, defa, stacktrace, stc, trial = false, false, false, false, false, false
  local has_ended, made_before = false, nil
  local is_bare, fields = true, #facts / 2 + (worker_name ~= '' and 3 or 2)
  for i = 1, #facts, 2 do
    local field, value = facts[i], facts[i + 1]
    if field == 'name' then name = value
    elseif field == 'data' then data = value
    elseif field == 'opts' then opts = value
    elseif field == 'timestamp' then timestamp = value
    elseif field == 'priority' then priority = value
    elseif field == 'ats' then ats, fields = value, fields - 1
    elseif field == 'processedOn' then fields = fields - 1
    elseif field == 'pb' then
      if worker_name ~= '' then fields = fields - 1 end
    elseif field == 'atm' then atm, is_bare = value, false
    elseif field == 'rjk' then rjk = value
    elseif field == 'parentKey' then parent_key, is_bare = value, false
    elseif field == 'parent' or field == 'deid' then is_bare = false
    elseif field == 'defa' then defa, is_bare = value, false
    elseif field == 'stacktrace' then stacktrace = value
    elseif field == 'stc' then stc = value
    elseif field == 'finishedOn' then has_ended = true
    elseif field == 'attemptsMade' then made_before, is_bare = tonumber(value) or 0, false
    end
  end
  if not name then
    notes[#notes + 1] = { id, #facts == 0 and 'its hash is missing' or 'its hash has no name' }
    return 'dropped'
  end
  if names and is_foreign(name) then
    if known then note_foreign(name, timestamp) end
    return 'foreign'
  end
  local size = (data and #data or 0) + (opts and #opts or 0)
  if claimed > 0 and bytes + size > byte_limit then
    is_plenty = true
    return 'stop'
  end
  if has_ended and (call('ZSCORE', KEYS[12], id) or call('ZSCORE', KEYS[13], id)) then return 'dropped' end
  local lock = pcall_redis('SET', job .. ':lock', claim_token, 'PX', lock_text, 'NX')
  if not lock then
    -- Somebody's, if it is in `active`, too: a script was cut off when it had put it there.
    local is_anothers = call('LPOS', active, id)
    for at = 1, locked_count do is_anothers = is_anothers or locked[at] == id end
    if is_anothers then return 'dropped' end
    lock = pcall_redis('SET', job .. ':lock', claim_token, 'PX', lock_text)
  end
  if lock.err then return stop(lock) end
  bytes = bytes + size
  local starts = (tonumber(ats) or 0) + 1
  local starts_text = ats_as_text[starts] or string.format('%d', starts)
  ats_as_text[starts] = starts_text
  local told = pcall_redis('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  local written = told
  if type(told) == 'string' then
    if worker_name ~= '' then
      written = pcall_redis('HSET', job, 'processedOn', now_text, 'ats', starts_text, 'pb', worker_name)
    else
      written = pcall_redis('HSET', job, 'processedOn', now_text, 'ats', starts_text)
    end
  end
  if type(written) == 'table' then
    pcall_redis('DEL', job .. ':lock')
    return stop(written)
  end
  if made_before then -- of BullMQ before 5: 5 and 6 read it first and count in `atm`, so they would try for ever
    atm = string.format('%d', math.max(made_before, tonumber(atm) or 0))
    if type(pcall_redis('HSET', job, 'atm', atm)) == 'number' then pcall_redis('HDEL', job, 'attemptsMade') end
  end
  if limiter_max and not defa and call('INCR', KEYS[6]) == 1 then
    call('PEXPIRE', KEYS[6], math.floor(math.abs(tonumber(limiter_ms) or 0)))
  end
  if stc then
    trial = pcall_redis('GET', prefix .. 'oxcart:suspect:' .. id)
    if type(trial) == 'table' then trial = false end
    if trial == stc then stc, trial = false, false end -- its handler has ended since: it is as any other
  end
  local rest = (rjk or parent_key or defa or stacktrace or stc) and { rjk, parent_key, defa, stacktrace, stc, trial } or nil
  if opts and not rest then opts = shared_options(opts, id) end
  hand_out(id, data, timestamp, name, opts, starts, atm, priority, is_bare and fields or 0, rest)
  locked_count = locked_count + 1
  locked[locked_count] = id
  return 'claimed'
end

local has_foreign = names and cursor ~= ''

local function claim_all(ids, take)
  local taken, taken_count = {}, 0
  for i = 1, #ids do
    local id = ids[i]
    if claimed >= room then break end
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
    if outcome == 'foreign' then            -- what comes is claimed by name
      has_foreign = true
      break
    end
    taken_count = taken_count + 1
    taken[taken_count] = id
  end
  if taken_count > 0 and put_into_active() then
    local ok, failure = pcall(take, taken)
    if not ok then stop(failure) end
  end
  return taken_count
end

local function claim_waiting()
  while not (stopped or has_foreign) and claimed < room do
    local ids = call('LRANGE', wait, -(room - claimed), -1)
    if #ids == 0 then return end
    local oldest_first = {}
    for i = 1, #ids do oldest_first[i] = ids[#ids - i + 1] end
    claim_all(oldest_first, function(taken) call('LTRIM', wait, 0, -#taken - 1) end)
  end
end

local function claim_prioritized()
  while not (stopped or has_foreign) and claimed < room do
    local ids = call('ZRANGE', prioritized, 0, room - claimed - 1)
    if #ids == 0 then
      -- BullMQ looks at the limit first, and a limited queue keeps its counter.
      if limiter_max then limit_ms = limited_for() end
      if limit_ms == 0 then call('DEL', KEYS[10]) end
      return
    end
    claim_all(ids, function(taken) call('ZREM', prioritized, unpack(taken)) end)
  end
end

-- Most queues: nothing but `wait` to look at.
local is_plain = not limiter_max and call('EXISTS', delayed, prioritized, KEYS[10], KEYS[6], KEYS[8]) == 0
if not (is_plain or paused) then gather(wait, KEYS[8], wait) end

-- What is claimed ahead of a free slot must not break a limit, nor keep a more urgent job waiting.
if room > free and (concurrency or not is_plain and (limiter_max or call('EXISTS', prioritized) == 1)) then room = free end

if concurrency then running = call('LLEN', active) end
blocked = paused or (concurrency and running >= concurrency)
local asked_for = room
if not is_plain then
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < (now + 1) * 0x1000 then
    promote(blocked)
    first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  end
  if first[2] then next_due = math.floor(tonumber(first[2]) / 0x1000) end
  limit_ms = limited_for()
end
if limit_ms == 0 and not blocked then
  if concurrency then room = math.min(room, concurrency - running) end
  claim_waiting()
  if not is_plain then claim_prioritized() end
end
if has_foreign then
  local function claim_by_name()
    --- @include "exchange_cursor"
    known = read_cursor()
    if limit_ms > 0 or blocked or stopped then return end
    --- @include "exchange_names"
  end
  claim_by_name()
end
if claimed > 0 and claimed == asked_for then is_plenty = true end
