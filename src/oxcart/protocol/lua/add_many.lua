--[[
  Adds many jobs in one go; leaves the keys and events that BullMQ's addStandardJob, addDelayedJob and
  addPrioritizedJob leave when they are called once per job in the same order.

  Only jobs without parent and deduplication come here; the others go through BullMQ's own scripts.
  An error of one job is its own: it is answered in its place, and its neighbours are added.

  KEYS  1 wait  2 paused  3 meta  4 id  5 delayed  6 prioritized  7 active  8 events  9 marker  10 pc
  ARGV  1 the prefix of job keys
        2 msgpack array, eight values per job: id, name, data, opts (JSON), timestamp, delay, priority, lifo
  Answers an array with one status per job: 1 added, 0 an id that exists (not touched), or the text of its error.
]]
local call, try = redis.call, redis.pcall
local wait, paused, meta, events, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[8], KEYS[9]
local delayed, prioritized = KEYS[5], KEYS[6]
local base = ARGV[1]
local values = cmsgpack.unpack(ARGV[2])
local WIDTH = 8

local attributes = call("HMGET", meta, "opts.maxLenEvents", "paused", "concurrency")
local max_events = attributes[1]
if not max_events then
  max_events = 10000
  call("HSET", meta, "opts.maxLenEvents", max_events)
end
local claimable = not attributes[2]
  and not (attributes[3] and call("LLEN", KEYS[7]) >= tonumber(attributes[3]))

--- @include "follow_pause"
local target = attributes[2] and paused or wait
if attributes[2] then gather(wait, paused, paused) end

local function failed(reply)
  return type(reply) == "table" and reply.err
end

local is_trimmed = false
local function emit(...)
  -- The stream is a notice: a job is not lost because its event could not be written. It is trimmed once.
  if is_trimmed then
    try("XADD", events, "*", "event", ...)
  else
    is_trimmed = true
    try("XADD", events, "MAXLEN", "~", max_events, "*", "event", ...)
  end
end

local texts = {}                            -- a number given to call() is formatted anew each time
local function as_text(number)
  local text = texts[number] or string.format("%.0f", number)
  texts[number] = text
  return text
end

-- Delayed jobs of one millisecond keep their order in the 12 lower bits of the score.
local function delayed_score(due)
  local lowest = due * 0x1000
  local highest = lowest + 0xfff
  local last = try("ZREVRANGEBYSCORE", delayed, highest, lowest, "WITHSCORES", "LIMIT", 0, 1)
  local taken = not failed(last) and tonumber(last[2])
  if not taken then return lowest end
  return math.min(taken + 1, highest)
end

local fifo, lifo, statuses = {}, {}, {}
local any_delayed, any_ready = false, false

local function enqueue(id, timestamp, delay, priority, is_lifo)
  if delay > 0 then
    local due = timestamp + delay
    local reply = try("ZADD", delayed, delayed_score(due), id)
    if failed(reply) then return reply end
    any_delayed = true
    emit("delayed", "jobId", id, "delay", as_text(due))
    return
  end
  if priority > 0 then
    local counter = try("INCR", KEYS[10])
    if failed(counter) then return counter end
    local reply = try("ZADD", prioritized, priority * 0x100000000 + counter % 0x100000000, id)
    if failed(reply) then return reply end
    any_ready = true
  elseif is_lifo then
    lifo[#lifo + 1] = id
  else
    fifo[#fifo + 1] = id
  end
  emit("waiting", "jobId", id)
end

local function add(at)
  local id, key = values[at], base .. values[at]
  if call("EXISTS", key) == 1 then
    emit("duplicated", "jobId", id)
    return 0
  end
  local name, timestamp, delay, priority = values[at + 1], values[at + 4], values[at + 5], values[at + 6]
  local stored = try("HSET", key, "name", name, "data", values[at + 2], "opts", values[at + 3],
    "timestamp", as_text(timestamp), "delay", as_text(delay), "priority", as_text(priority))
  if failed(stored) then return stored.err end
  emit("added", "jobId", id, "name", name)
  local refused = enqueue(id, timestamp, delay, priority, values[at + 7])
  if refused then
    call("DEL", key)
    return refused.err
  end
  return 1
end

local position_of = {}
call("INCRBY", KEYS[4], #values / WIDTH)
for at = 1, #values, WIDTH do
  local position = (at - 1) / WIDTH + 1
  local status = add(at)
  statuses[position] = status
  if status == 1 then position_of[values[at]] = position end
end

-- At most 500 jobs come in one call, so unpack stays below Lua's limit.
local function push(command, ids)
  if #ids == 0 then return end
  local reply = try(command, target, unpack(ids))
  if not failed(reply) then
    any_ready = true
    return
  end
  for _, id in ipairs(ids) do
    call("DEL", base .. id)
    statuses[position_of[id]] = reply.err
  end
end
push("LPUSH", fifo)
push("RPUSH", lifo)

if any_delayed then
  local first = call("ZRANGE", delayed, 0, 0, "WITHSCORES")
  call("ZADD", marker, tonumber(first[2]) / 0x1000, "1")
end
if any_ready and claimable then call("ZADD", marker, 0, "0") end
return statuses
