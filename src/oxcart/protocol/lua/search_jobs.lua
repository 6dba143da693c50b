--[[
  Which jobs of a state are meant? Looks at a run of them until its time is up, and changes nothing.

  KEYS  1 list or sorted set of the state
  ARGV  1 prefix  2 kind: "list" (the next one is at the right end), "up" or "down" by score  3 how many to pass over
        4 how many to look at  5 how much work that may be, in jobs  6 microseconds it may take
        7 what is wanted, as JSON (queue/search.py, Filter.to_wire)
  Reply {how many were looked at, {id, score, id, score, …}, {reason, how many, an id, …}}; scores are "" of a list,
         reasons are counted only where that is wanted
]]
local call = redis.call
local base, kind = ARGV[1], ARGV[2]
local from, count, most_work, budget = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local want = cjson.decode(ARGV[7])
local LOOKED_BEFORE_THE_CLOCK = 8

-- TIME stands still inside a script (since 7.2), and os.clock is not everywhere: so the work is counted, too, in jobs.
-- Reading 2 KB of data is about as much as a job, and so is decoding 300 bytes of JSON.
local BYTES_OF_A_JOB, JSON_OF_A_JOB = 2000, 300
local has_clock, clock = pcall(function() return os.clock end)
if not has_clock then clock = nil end
local began, work = clock and clock() or 0, 0
local function is_time_up(looked)
  if work >= most_work then return true end
  return clock and looked % LOOKED_BEFORE_THE_CLOCK == 0 and (clock() - began) * 1000000 >= budget
end

local ids, scores = {}, {}
if kind == 'list' then
  local found = call('LRANGE', KEYS[1], -(from + count), -(from + 1))
  for at = #found, 1, -1 do table.insert(ids, found[at]) end
else
  local found = call(kind == 'up' and 'ZRANGE' or 'ZREVRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
  for at = 1, #found, 2 do
    table.insert(ids, found[at])
    scores[#ids] = found[at + 1]
  end
end

local function as_text(value)
  if value == cjson.null then return 'null' end
  if type(value) == 'number' then return string.format('%.17g', value) end
  return tostring(value)
end

local function has_data(data, each)
  if each.plain and not string.find(data, each.plain, 1, true) then return false end
  work = work + #data / JSON_OF_A_JOB
  local ok, value = pcall(cjson.decode, data)
  if not ok then return false end
  for _, step in ipairs(each.path) do
    if type(value) ~= 'table' then return false end
    local place = tonumber(step)
    value = value[step] == nil and place and value[place + 1] or value[step]
    if value == nil then return false end
  end
  return type(value) ~= 'table' and (as_text(value) == each.value or tonumber(each.value) == value)
end

local function has_text(text)
  if not text then return false end
  if want.ignores_case then text = string.lower(text) end
  return string.find(text, want.text, 1, true) ~= nil
end

local names
if want.names then
  names = {}
  for _, name in ipairs(want.names) do names[name] = true end
end

local function is_meant(id, job)
  local name, reason, data, added = job[1], job[2], job[3], tonumber(job[4])
  local attempts = tonumber(job[5]) or tonumber(job[6]) or 0
  if want.id_end and string.sub(id, -#want.id_end) ~= want.id_end then return false end
  if names and not names[name] then return false end
  if want.since and (added or 0) < want.since then return false end
  if want.before and (added or 0) > want.before then return false end
  if want.attempts and attempts < want.attempts then return false end
  if want.reason and not (reason and string.find(reason, want.reason, 1, true)) then return false end
  if want.text and not (has_text(id) or has_text(name) or has_text(reason) or has_text(data)) then return false end
  for _, each in ipairs(want.data or {}) do
    if not (data and has_data(data, each)) then return false end
  end
  return true
end

-- Only what is looked at is read: data may be large.
local needs_data = want.text or want.data
local needs_numbers = want.since or want.before or want.attempts
local fields = { 'name', 'failedReason' }
if needs_data or needs_numbers then
  fields = { 'name', 'failedReason', needs_data and 'data' or 'not-there', 'timestamp', 'atm', 'attemptsMade' }
end
local looks_inside = needs_data or needs_numbers or names or want.reason or want.reasons

local looked, found, reasons, place_of = 0, {}, {}, {}
for at, id in ipairs(ids) do
  if at > 1 and is_time_up(at) then break end
  looked, work = at, work + 1
  local job = looks_inside and redis.pcall('HMGET', base .. id, unpack(fields)) or {}
  if job[3] then work = work + #job[3] / BYTES_OF_A_JOB end
  if not job.err and is_meant(id, job) then
    if want.reasons then
      local reason = string.sub(job[2] or '', 1, 300)
      -- As queue/search.py does, which puts the calls together: what differs in numbers alone is one.
      local alike = string.gsub(string.gsub(reason, '%x%x%x%x%x%x%x%x+', '#'), '%d+', '#')
      local place = place_of[alike]
      if not place then
        place = #reasons + 1
        place_of[alike] = place
        reasons[place], reasons[place + 1], reasons[place + 2] = reason, 0, id
      end
      reasons[place + 1] = reasons[place + 1] + 1
    else
      table.insert(found, id)
      table.insert(found, scores[at] or '')
    end
  end
end
return { looked, found, reasons }
