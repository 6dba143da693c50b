-- Which jobs come out for a worker that claims certain names only? What is foreign stays where it is, untouched, and what
-- is ours behind it comes out as if it were not there. A cursor says what was looked at before, so that each foreign job
-- is looked at once, however many there are.
--
-- Of `wait` it knows a region: all from the first to the last of it are foreign. It is held by the depths (1 is the head,
-- the next to be claimed), ids and stamps of some of them, each twice as far from the first as the one before. Lists change
-- at their ends, or by a removal: between two that were neither claimed nor added since, and are as far from each other as
-- they were, lies what lay there before.
--
-- Of `prioritized` it knows a counter, part of the score of each job that is added: what has one up to `all` was looked
-- at, before the score `at` up to `before`. This holds as long as one of the foreign jobs is the same and has its score:
-- `pc` starts anew only when the set is empty. What was given back to the front of its class has the counter 0, and is
-- looked at each time.
local CHUNK, STEPS, CLASS = 100, 40, 0x100000000 -- a step past what is known takes some 20 us
local ALL, TOMB = 0x7fffffff, '0:claimed'   -- BullMQ passes over an id like this one, should it ever see it
local looks, is_ours_likely = look_limit, true

local function as_score(number)
  return string.format('%.0f', number)
end

-- 'claimed', 'dropped', 'foreign' or 'stop'. A foreign job's data is read at most once in a row of them.
local function take(id)
  if string.sub(id, 1, 2) == '0:' then return 'dropped' end -- a marker of BullMQ before 5
  if not is_ours_likely then
    local facts = pcall_redis('HMGET', prefix .. id, 'name', 'timestamp')
    if not facts.err and facts[1] and is_foreign(facts[1]) then
      if looks == 0 then return 'stop' end
      looks = looks - 1
      note_foreign(facts[1], facts[2])
      return 'foreign'
    end
    is_ours_likely = true
  end
  if limiter_max then
    limit_ms = limited_for()
    if limit_ms > 0 then
      stopped = true
      return 'stop'
    end
  end
  local outcome = claim(id)
  if outcome == 'foreign' then
    looks, is_ours_likely = looks - 1, false
  elseif outcome == 'stop' then
    stopped = true
  end
  return outcome
end

-- Takes out what was claimed, when it is in `active`. If it stays, the cursor knows nothing any more: it is no foreign job.
local function leave(remove)
  local ok, failure = put_into_active(), nil
  if ok then
    ok, failure = pcall(remove)
    if not ok then stop(failure) end
  end
  if not ok then known.is_spoilt = true end
end

local function is_over()
  return stopped or looks == 0 or claimed >= room
end

-- How many to read at once: as many as there is room for, and some more where foreign ones lie about.
local function chunk()
  return math.max(room - claimed, looks < look_limit and CHUNK or 1)
end

-- ---------------------------------------------------------------------------------------------------- wait
-- Takes what is ours of the next jobs (at most `most`) behind the first `depth`, which are foreign. Returns how many
-- foreign ones are before us now, how many jobs were looked at, and whether that was the end of the list.
local function walk(depth, most)
  local wanted = math.min(most, chunk())
  local ids = call('LRANGE', wait, -(depth + wanted), -(depth + 1))
  local size, begin = #ids, depth           -- the last of them is the first to be claimed
  local removed, n, at = {}, 0, #ids
  while at > 0 and not is_over() do
    local outcome = take(ids[at])
    if outcome == 'stop' then break end
    if outcome == 'foreign' then
      depth = depth + 1
    else
      n = n + 1
      removed[n] = at
    end
    at = at - 1
  end
  if n > 0 then
    leave(function()
      if depth == 0 then return call('LTRIM', wait, 0, -n - 1) end
      local id, is_near_head = ids[removed[1]], begin + size < call('LLEN', wait) / 2
      if n > 1 then                         -- one scan for all of them, rather than one each
        id = TOMB
        for i = 1, n do call('LSET', wait, -(begin + size + 1 - removed[i]), TOMB) end
      end
      return call('LREM', wait, is_near_head and -n or n, id)
    end)
  end
  return depth, size - at, at == 0 and size < wanted
end

local function find_depth(id, expected)
  local nearest = math.max(expected - CHUNK, 1)
  local around = call('LRANGE', wait, -(expected + CHUNK), -nearest)
  for i = #around, 1, -1 do
    if around[i] == id then return nearest + #around - i end
  end
  local position = pcall_redis('LPOS', wait, id, 'RANK', -1, 'MAXLEN', expected + 10000)
  return type(position) == 'number' and call('LLEN', wait) - position or nil
end

local function lies_at(depth, id)
  return depth >= 1 and call('LINDEX', wait, -depth) == id
end

-- Changes when a job is claimed, or added anew with the same id: it lies elsewhere then.
local function stamp_of(id)
  local facts = pcall_redis('HMGET', prefix .. id, 'ats', 'timestamp')
  return facts.err or (facts[1] or '') .. ':' .. (facts[2] or '')
end

-- How many jobs lie before the region, how many are in it, and whether it is as it was. Zeros if it is lost.
local function find_region()
  local region = known.wait
  local n = #region
  if n == 0 then return 0, 0, false end
  local first, last, last_id = region[1], region[n - 2], region[n - 1]
  if stamp_of(last_id) ~= region[n] then return 0, 0, false end
  if lies_at(last, last_id) and (n == 3 or lies_at(first, region[2]) and stamp_of(region[2]) == region[3]) then
    return first - 1, last - first + 1, true
  end
  local found = find_depth(last_id, last)
  for i = 1, found and n or 0, 3 do
    local depth, id = region[i] + found - last, region[i + 1]
    if lies_at(depth, id) and (i == n - 2 or stamp_of(id) == region[i + 2]) then
      return depth - 1, found - depth + 1, false
    end
  end
  return 0, 0, false
end

local function make_region(first, last)
  local region, n, depth, step = {}, 0, first, 1
  local function note(at)
    local id = call('LINDEX', wait, -at)
    region[n + 1], region[n + 2], region[n + 3] = at, id, stamp_of(id)
    n = n + 3
  end
  while depth < last do
    note(depth)
    depth, step = depth + step, step * 2
  end
  if last >= first then note(last) end
  return region
end

-- True if all of `wait` has been looked at.
local function claim_waiting_by_name()
  local unknown, foreign, is_same = find_region()
  local depth, looked, is_end = 0, 0, false
  if unknown > 0 then is_same = false end
  while unknown > 0 and not is_over() do
    depth, looked = walk(depth, unknown)
    unknown = unknown - looked
  end
  if unknown > 0 then
    -- More new ones than may be looked at: the region begins anew with those. No more room: it is where it was.
    local before = depth + unknown
    known.wait = looks > 0 and make_region(before + 1, before + foreign) or make_region(1, depth)
    return false
  end
  depth = depth + foreign
  while not is_end and not is_over() do
    local before = depth
    depth, looked, is_end = walk(depth, ALL)
    if depth ~= before then is_same = false end
  end
  if not is_same then known.wait = make_region(1, depth) end
  return is_end or depth > 0 and call('LLEN', wait) <= depth
end

-- ---------------------------------------------------------------------------------------------------- prioritized
-- Up to which score this class was looked at by the passes before.
local function seen_to(pass, class)
  if class + CLASS <= pass.at then return class + pass.before end
  return math.max(class + pass.all, pass.at > class and pass.at - 1 or 0)
end

-- Takes what is ours of the next members, from a score on, the first `skip` of those with it aside. Returns where to go on,
-- and whether that is the end, or nil if it could not look at all of them.
local function walk_scores(pass, from, skip, wanted)
  local found = call('ZRANGEBYSCORE', prioritized, as_score(from), '+inf', 'WITHSCORES', 'LIMIT', skip, wanted)
  local removed, n, at, class, seen = {}, 0, 1, from, 0
  while found[at] and not is_over() do
    local id, score = found[at], tonumber(found[at + 1])
    if at == 1 or score >= class + CLASS then
      class = math.floor(score / CLASS) * CLASS
      seen = seen_to(pass, class)
    end
    local outcome = 'foreign'
    if score == class or score > seen then  -- at the front of its class: given back
      outcome = take(id)
      if outcome == 'stop' then break end
      local last = known.prioritized
      if outcome == 'foreign' and score >= last.score then last.id, last.score = id, score end
    end
    if outcome ~= 'foreign' then
      n = n + 1
      removed[n] = id
    elseif score ~= class then
      from, skip = score + 1, 0
    elseif score == from then
      skip = skip + 1
    else
      from, skip = class, 1
    end
    at = at + 2
  end
  if n > 0 then leave(function() return call('ZREM', prioritized, unpack(removed)) end) end
  if found[at] then return from, skip, nil end
  if from > class and from <= seen then from, skip = seen + 1, 0 end
  return from, skip, #found < 2 * wanted
end

-- True if all of `prioritized` has been looked at. A pass that meets more foreign jobs than may be looked at goes on in
-- the next exchange. What is put behind it meanwhile has an event: it is those since the pass began that the worker
-- listens to next. A pass that ends for want of room begins anew: something more urgent may have come.
local function claim_prioritized_by_name()
  local counter = tonumber(call('GET', KEYS[10])) or 0
  local pass = known.prioritized
  if pass.id == '' or pass.before > counter or tonumber(call('ZSCORE', prioritized, pass.id)) ~= pass.score
    or stamp_of(pass.id) ~= pass.stamp then
    pass = new_pass()
    known.prioritized = pass
  end
  local from, skip, is_end, wanted, seen_now = 0, 0, false, chunk(), counter
  local goes_on = pass.goes_on
  if goes_on then from, skip, seen_now = pass.at, pass.skip, pass.before end
  for _ = 1, STEPS do
    from, skip, is_end = walk_scores(pass, from, skip, wanted)
    if is_end then
      if goes_on then known.listens_from = pass.event end
      pass.all, pass.before, pass.at, pass.skip, pass.goes_on = seen_now, seen_now, 0, 0, false
      return true
    end
    if is_end == nil then break end
    wanted = CHUNK
  end
  pass.before, pass.at, pass.skip = seen_now, from, skip
  pass.goes_on = claimed < room and not stopped
  if not goes_on then known.begins_pass = true end
  return false
end

local is_all = claim_waiting_by_name()
if is_all and not stopped and claimed < room and not is_plain then
  is_all = claim_prioritized_by_name()
  if known.prioritized.id ~= '' then known.prioritized.stamp = stamp_of(known.prioritized.id) end
  if is_all and known.prioritized.id == '' and call('EXISTS', prioritized) == 0 then call('DEL', KEYS[10]) end
elseif is_all and not is_plain then
  is_all = call('EXISTS', prioritized) == 0
end
looked_at_all = is_all
if not is_all and not stopped and claimed < room then more = 1 end
