--[[
  Which of these jobs has an add stored already, whose reply was lost? Looks at the jobs, and at their own `added` events:
  a job that was run and removed since has only that, one that was there before has none.

  KEYS  1 events
  ARGV  1 the prefix of job keys  2 milliseconds since the add was first sent  3 msgpack array of job ids
  Answers an array: 2 an add of it was told since, 1 it is there, 0 neither.
]]
local ids = cmsgpack.unpack(ARGV[3])
local answer, position_of = {}, {}
for position, id in ipairs(ids) do
  answer[position] = redis.call("EXISTS", ARGV[1] .. id)
  position_of[id] = position
end

-- The server's clock, not the caller's: stream ids are made from it.
local now = redis.call("TIME")
local since = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[2])
local from = string.format("%d-0", math.max(since, 0))
local PAGE = 1000
while true do
  local entries = redis.call("XRANGE", KEYS[1], from, "+", "COUNT", PAGE)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    if fields[1] == "event" and fields[2] == "added" and position_of[fields[4]] then
      answer[position_of[fields[4]]] = 2
    end
  end
  if #entries < PAGE then return answer end
  local time, counter = string.match(entries[#entries][1], "^(%d+)-(%d+)$")
  from = time .. "-" .. string.format("%.0f", tonumber(counter) + 1)
end
