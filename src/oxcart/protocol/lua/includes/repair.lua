-- What the scripts that mend a queue share: their KEYS, and the way back to where workers claim jobs.
-- KEYS  1 wait  2 paused  3 meta  4 active  5 delayed  6 prioritized  7 pc  8 events  9 marker  10 stalled
--       11 waiting-children  12 completed  13 failed  14 limiter
-- ARGV  1 the prefix of job keys  2 '1' to mend, '0' to look only
--- @include "follow_pause"
local call = redis.call
local wait, paused, meta, active, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local base, mends = ARGV[1], ARGV[2] == '1'

local function is_a(kind, key)
  return call('TYPE', key).ok == kind
end

local function is_job(id)
  return is_a('hash', base .. id)
end

-- A name proves nothing: `door:17:lock` is an id as any other, and a deduplication key may be called so. A text is a lock if
-- its name is in no space of others, or else stands beside a job and is no job's id.
local function has_lock(id)
  local lock = base .. id .. ':lock'
  if not is_a('string', lock) then return false end
  local space = string.match(id, '^([a-z]+):')
  if space ~= 'de' and space ~= 'limiter' and space ~= 'oxcart' then return true end
  return is_job(id) and not is_job(call('GET', lock))
end

-- A worker's lock always ends by itself; one without an end was left by somebody who never comes back.
local function is_held(id)
  return has_lock(id) and call('PTTL', base .. id .. ':lock') >= 0
end

-- Not a flow's results, which are kept by the children's keys, nor a schedule's record.
local function is_whole_job(id)
  if not is_job(id) then return false end
  local has = call('HMGET', base .. id, 'name', 'timestamp', 'ic')
  return has[1] and has[2] and not has[3] or false
end

local function is_named(id)
  for _, set in ipairs({ delayed, KEYS[6], KEYS[11], KEYS[12], KEYS[13] }) do
    if call('ZSCORE', set, id) then return true end
  end
  return call('LPOS', active, id) or call('LPOS', wait, id) or call('LPOS', paused, id)
end

-- What a job that is gone has left behind. `<id>:failed` may be somebody else's job.
local function forget(id)
  local key = base .. id
  if has_lock(id) then call('DEL', key .. ':lock') end
  for kind, name in pairs({ list = ':logs', set = ':dependencies', zset = ':unsuccessful' }) do
    if is_a(kind, key .. name) then call('DEL', key .. name) end
  end
  for _, name in ipairs({ ':processed', ':failed' }) do
    if is_a('hash', key .. name) and call('HEXISTS', key .. name, 'name') == 0 then call('DEL', key .. name) end
  end
end

local function is_blocked()
  local attributes = call('HMGET', meta, 'paused', 'concurrency')
  if attributes[1] then return true end
  return attributes[2] and call('LLEN', active) >= tonumber(attributes[2]) or false
end

local function announce()
  if not is_blocked() then call('ZADD', KEYS[9], 0, '0') end
end

local function emit(...)
  call('XADD', KEYS[8], 'MAXLEN', '~', call('HGET', meta, 'opts.maxLenEvents') or 10000, '*', ...)
end

-- Put it there, then take it from where it was (`leave`, or nil). What errs before it has left is undone.
local function move(put, undo, leave)
  call(unpack(put))
  if not leave then return end
  local ok, failure = pcall(call, unpack(leave))
  if not ok then
    pcall(call, unpack(undo))
    error(failure, 0)
  end
end

-- To `prioritized`, or to `wait` (in a paused queue: to `paused`), by LPUSH or RPUSH. `leave` takes it from where it was.
local function put_back(id, push, prev, leave)
  local priority = tonumber(call('HGET', base .. id, 'priority')) or 0
  if priority > 0 then
    local score = priority * 0x100000000 + call('INCR', KEYS[7]) % 0x100000000
    move({ 'ZADD', KEYS[6], score, id }, { 'ZREM', KEYS[6], id }, leave)
  else
    local is_paused = call('HEXISTS', meta, 'paused') == 1
    if is_paused then gather(wait, paused, paused) end
    local list = is_paused and paused or wait
    move({ push, list, id }, { 'LREM', list, push == 'LPUSH' and 1 or -1, id }, leave)
  end
  if prev then
    emit('event', 'waiting', 'jobId', id, 'prev', prev)
  else
    emit('event', 'waiting', 'jobId', id)
  end
  announce()
end

local function put_to_delayed(id, due, leave)
  move({ 'ZADD', delayed, due * 0x1000, id }, { 'ZREM', delayed, id }, leave)
  emit('event', 'delayed', 'jobId', id, 'delay', string.format('%.0f', due))
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  call('ZADD', KEYS[9], tonumber(first[2]) / 0x1000, '1')
end

-- A parent that waits for no child any more. Source: BullMQ moveParentToWait.
local function let_parent_run(id, now)
  local leave, delay = { 'ZREM', KEYS[11], id }, tonumber(call('HGET', base .. id, 'delay')) or 0
  if delay > 0 then
    put_to_delayed(id, tonumber(now) + delay, leave)
  else
    put_back(id, 'RPUSH', 'waiting-children', leave)
  end
end
