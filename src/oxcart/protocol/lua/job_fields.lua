--[[
  What do some jobs' hashes say, as far as a person can read it? Changes nothing; long values are cut, huge ones left.

  KEYS  the jobs' keys
  ARGV  1 most bytes of a value  2 a value of more bytes is not read at all  3… names of fields; none: all
  Reply for each key {name, length in bytes, value, …}; empty where there is no hash
]]
local most, largest = tonumber(ARGV[1]), tonumber(ARGV[2])
local MOST_FIELDS = 64

local names = {}
for at = 3, #ARGV do names[#names + 1] = ARGV[at] end

local reply = {}
for at, key in ipairs(KEYS) do
  local found = {}
  local fields = names
  if #names == 0 then
    fields = redis.pcall('HKEYS', key)
    if fields.err then fields = {} end
  end
  for count, name in ipairs(fields) do
    if count > MOST_FIELDS then break end
    local length = redis.pcall('HSTRLEN', key, name)
    if type(length) == 'table' then break end
    if length > 0 then
      local value = ''
      if length <= largest then
        value = redis.call('HGET', key, name)
        if length > most then value = string.sub(value, 1, most) end
      end
      found[#found + 1] = name
      found[#found + 1] = length
      found[#found + 1] = value
    end
  end
  reply[at] = found
end
return reply
