--[[
  What is in a queue, what waits longest, what holds it back? Changes nothing; looks at a few jobs of each kind.

  KEYS  1 wait  2 paused  3 active  4 prioritized  5 delayed  6 failed  7 completed  8 waiting-children
        9 meta  10 limiter  11 repeat
  ARGV  1 prefix  2 now ms  3 "1": schedules and returning jobs too  4 how late a schedule may be, ms
        5 how many starts are many
  Reply {lengths of KEYS 1 to 8, {paused, concurrency, max, duration}, ttl of a limit that is reached (0: none),
         {id, name, since ms} or {}, {schedules, late, next ms, ids of those without a next job},
         {{id, name, starts}, …}}; the last two are empty unless asked for
]]
local base, now, deep = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local MOST = 50

-- A key of a wrong type harms nothing here: whoever works on it says so.
local function call(...)
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err) and reply or nil
end
local function length(command, key) return call(command, key) or 0 end

local lengths = {}
for at, command in ipairs({ 'LLEN', 'LLEN', 'LLEN', 'ZCARD', 'ZCARD', 'ZCARD', 'ZCARD', 'ZCARD' }) do
  lengths[at] = length(command, KEYS[at])
end
local meta = call('HMGET', KEYS[9], 'paused', 'concurrency', 'max', 'duration') or {}

local ttl = call('PTTL', KEYS[10]) or 0
if ttl > 0 and meta[3] and (tonumber(call('GET', KEYS[10])) or 0) < (tonumber(meta[3]) or 0) then ttl = 0 end

-- Of a job that someone has put back nobody knows since when it waits.
local oldest = {}
local function consider(ids)
  for _, id in ipairs(ids or {}) do
    local job = call('HMGET', base .. id, 'timestamp', 'delay', 'processedOn', 'atm', 'ats', 'name') or {}
    local began, delay = tonumber(job[1]), tonumber(job[2]) or 0
    if (tonumber(job[4]) or 0) > 0 or (tonumber(job[5]) or 0) > 0 then began = tonumber(job[3]) end
    if began and (not oldest[3] or began + delay < oldest[3]) then oldest = { id, job[6] or '', began + delay } end
  end
end
if lengths[1] > 0 then consider(call('LRANGE', KEYS[1], -3, -1)) end
if lengths[2] > 0 then consider(call('LRANGE', KEYS[2], -3, -1)) end
if lengths[4] > 0 then consider(call('ZRANGE', KEYS[4], 0, 2)) end

local schedules, returning = {}, {}
if deep then
  local count, late, next_ms, stopped = length('ZCARD', KEYS[11]), 0, 0, {}
  local due = count > 0 and call('ZRANGE', KEYS[11], 0, MOST - 1, 'WITHSCORES') or {}
  for at = 1, #due, 2 do
    local id, score = due[at], tonumber(due[at + 1])
    local record = call('HMGET', KEYS[11] .. ':' .. id, 'ic', 'limit', 'endDate', 'every', 'pattern') or {}
    local limit, ends = tonumber(record[2]), tonumber(record[3])
    local has_ended = (limit and (tonumber(record[1]) or 0) >= limit) or (ends and ends < now)
    if (record[4] or record[5]) and not has_ended then
      if call('EXISTS', base .. 'repeat:' .. id .. ':' .. due[at + 1]) == 0 then
        table.insert(stopped, id)
      else
        if now - score > tonumber(ARGV[4]) then late = late + 1 end
        if next_ms == 0 then next_ms = score end
      end
    end
  end
  schedules = { count, late, next_ms, stopped }
  for _, id in ipairs(lengths[5] > 0 and call('ZRANGE', KEYS[5], 0, MOST - 1) or {}) do
    local job = call('HMGET', base .. id, 'ats', 'atm', 'stc', 'name') or {}
    local starts = (tonumber(job[1]) or 0) - (tonumber(job[2]) or 0) - (tonumber(job[3]) or 0)
    if starts >= tonumber(ARGV[5]) then table.insert(returning, { id, job[4] or '', starts }) end
  end
end

if oldest[3] then oldest[3] = string.format('%.0f', oldest[3]) end
if schedules[3] then schedules[3] = string.format('%.0f', schedules[3]) end
return { lengths, { meta[1] or '', meta[2] or '', meta[3] or '', meta[4] or '' }, ttl, oldest, schedules, returning }
