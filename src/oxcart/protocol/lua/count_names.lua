--[[
  Which jobs wait, by name? Looks at the `most` next ones of `wait` and of `prioritized` each, and changes nothing.

  KEYS  1 wait  2 prioritized
  ARGV  1 prefix  2 most
  Reply {{name, how many, timestamp ms of the oldest}, …}; beyond `most` in a list, as many as that part lets expect
]]
local call = redis.call
local prefix, most = ARGV[1], tonumber(ARGV[2])
local found, place_of = {}, {}

local function count(ids, total)
  local each = #ids > 0 and total / #ids or 1
  for _, id in ipairs(ids) do
    local facts = redis.pcall('HMGET', prefix .. id, 'name', 'timestamp')
    local name = not facts.err and facts[1]
    if name then
      local place, since = place_of[name], tonumber(facts[2]) or 0
      if not place then
        place = #found + 1
        place_of[name], found[place] = place, { name, 0, since }
      end
      local entry = found[place]
      entry[2], entry[3] = entry[2] + each, math.min(entry[3], since)
    end
  end
end

count(call('LRANGE', KEYS[1], -most, -1), call('LLEN', KEYS[1]))
count(call('ZRANGE', KEYS[2], 0, most - 1), call('ZCARD', KEYS[2]))
for _, entry in ipairs(found) do entry[2] = math.floor(entry[2] + 0.5) end
return found
