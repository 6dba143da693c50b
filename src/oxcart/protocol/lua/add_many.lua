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

-- A job is where it will be claimed before it has a hash: an add that was cut off there can be made again, and nobody takes
-- what it left for a job.
local statuses, status_of = {}, {}
local any_delayed, any_ready = false, false

-- Answers the error; or nil, and how to take it out again.
local function enqueue(id, timestamp, delay, priority)
  local place, reply = delayed, nil
  if delay > 0 then
    reply = try("ZADD", delayed, delayed_score(timestamp + delay), id)
  else
    place, reply = prioritized, try("INCR", KEYS[10])
    if not failed(reply) then
      reply = try("ZADD", prioritized, priority * 0x100000000 + reply % 0x100000000, id)
    end
  end
  if failed(reply) then return reply.err end
  return nil, { "ZREM", place, id }
end

local function store(at, take_out)
  local id, name, timestamp, delay = values[at], values[at + 1], values[at + 4], values[at + 5]
  local stored = try("HSET", base .. id, "name", name, "data", values[at + 2], "opts", values[at + 3],
    "timestamp", as_text(timestamp), "delay", as_text(delay), "priority", as_text(values[at + 6]))
  if failed(stored) then
    try(unpack(take_out))
    return stored.err
  end
  emit("added", "jobId", id, "name", name)
  if delay > 0 then
    any_delayed = true
    emit("delayed", "jobId", id, "delay", as_text(timestamp + delay))
  else
    any_ready = true
    emit("waiting", "jobId", id)
  end
  return 1
end

call("INCRBY", KEYS[4], #values / WIDTH)
local is_there = {}
local pushes = { LPUSH = {}, RPUSH = {} }
for at = 1, #values, WIDTH do
  local id = values[at]
  if not is_there[id] then
    is_there[id] = call("EXISTS", base .. id) == 1 and "before" or at
    if is_there[id] == at and values[at + 5] <= 0 and values[at + 6] <= 0 then
      local ids = pushes[values[at + 7] and "RPUSH" or "LPUSH"]
      ids[#ids + 1] = id
    end
  end
end

-- At most 500 jobs come in one call, so unpack stays below Lua's limit.
local refusals = {}
for command, ids in pairs(pushes) do
  if #ids > 0 then
    local reply = try(command, target, unpack(ids))
    refusals[command] = failed(reply)
  end
end

for at = 1, #values, WIDTH do
  local id, delay, priority = values[at], values[at + 5], values[at + 6]
  local status
  if is_there[id] ~= at then
    status = status_of[id] or 0
    if status == 1 then status = 0 end
    if status == 0 then emit("duplicated", "jobId", id) end
  elseif delay > 0 or priority > 0 then
    local refusal, take_out = enqueue(id, values[at + 4], delay, priority)
    status = refusal or store(at, take_out)
  else
    local command = values[at + 7] and "RPUSH" or "LPUSH"
    status = refusals[command] or store(at, { "LREM", target, command == "LPUSH" and 1 or -1, id })
  end
  statuses[#statuses + 1] = status
  status_of[id] = status_of[id] or status
end

-- The jobs are there: that nobody is told of it at once is no refusal.
if any_delayed then
  local first = try("ZRANGE", delayed, 0, 0, "WITHSCORES")
  if first[2] then try("ZADD", marker, tonumber(first[2]) / 0x1000, "1") end
end
if any_ready and claimable then try("ZADD", marker, 0, "0") end
return statuses
