-- What the scripts that mend a queue share: their KEYS, and the way back to where workers claim jobs.
-- KEYS  1 wait  2 paused  3 meta  4 active  5 delayed  6 prioritized  7 pc  8 events  9 marker  10 stalled
--       11 waiting-children  12 completed  13 failed  14 limiter
-- ARGV  1 the prefix of job keys  2 '1' to mend, '0' to look only
--- @include "follow_pause"
local call = redis.call
local wait, paused, meta, active, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local base, mends = ARGV[1], ARGV[2] == '1'

-- A worker's lock always ends by itself; one without an end was left by somebody who never comes back.
local function is_held(id)
  return call('PTTL', base .. id .. ':lock') >= 0
end

local function is_job(id)
  return call('TYPE', base .. id).ok == 'hash'
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

-- To `prioritized`, or to `wait` (in a paused queue: to `paused`), by LPUSH or RPUSH.
local function put_back(id, push, prev)
  local priority = tonumber(call('HGET', base .. id, 'priority')) or 0
  if priority > 0 then
    call('ZADD', KEYS[6], priority * 0x100000000 + call('INCR', KEYS[7]) % 0x100000000, id)
  else
    local is_paused = call('HEXISTS', meta, 'paused') == 1
    if is_paused then gather(wait, paused, paused) end
    call(push, is_paused and paused or wait, id)
  end
  if prev then
    emit('event', 'waiting', 'jobId', id, 'prev', prev)
  else
    emit('event', 'waiting', 'jobId', id)
  end
  announce()
end

local function put_to_delayed(id, due)
  call('ZADD', delayed, due * 0x1000, id)
  emit('event', 'delayed', 'jobId', id, 'delay', string.format('%.0f', due))
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  call('ZADD', KEYS[9], tonumber(first[2]) / 0x1000, '1')
end
