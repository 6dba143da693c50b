--[[
  How many jobs ended in each of the last minutes, as far as they are kept? Changes nothing.

  KEYS  1 completed  2 failed  3 id
  ARGV  1 the first minute, in ms since 1970  2 how many minutes
  Reply {completed per minute, …}, {failed per minute, …}, the counter of all adds
]]
local first, minutes = tonumber(ARGV[1]), tonumber(ARGV[2])
local function counted(key)
  local counts = {}
  for at = 0, minutes - 1 do
    local from = first + at * 60000
    local count = redis.pcall('ZCOUNT', key, string.format('%.0f', from), string.format('(%.0f', from + 60000))
    counts[#counts + 1] = type(count) == 'number' and count or 0
  end
  return counts
end
local added = redis.pcall('GET', KEYS[3])
return { counted(KEYS[1]), counted(KEYS[2]), type(added) == 'string' and added or '0' }
