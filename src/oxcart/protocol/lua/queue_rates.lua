--[[
  How many jobs came and ended lately? Reads the newest events, and answers with numbers only: an event may be large.

  KEYS  1 events
  ARGV  1 now ms  2 no event before this, ms  3 how many at most
  Reply {added, completed, failed, ms that were looked at}
]]
local now, from = tonumber(ARGV[1]), tonumber(ARGV[2])
local counted = { added = 0, completed = 0, failed = 0 }
local entries = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[3])
if entries.err then return { 0, 0, 0, 0 } end
local since = from
for at, entry in ipairs(entries) do
  local time = tonumber(string.match(entry[1], '^%d+'))
  if time < from then break end
  if at == tonumber(ARGV[3]) then since = time end
  local fields = entry[2]
  for place = 1, #fields, 2 do
    if fields[place] == 'event' and counted[fields[place + 1]] then
      counted[fields[place + 1]] = counted[fields[place + 1]] + 1
    end
  end
end
return { counted.added, counted.completed, counted.failed, math.max(1, now - since) }
