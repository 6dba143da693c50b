--[[
  A probe came through: close the circuit.

  KEYS   1 state (hash)
  Reply  1 if it was open
]]
local time = redis.call('TIME')
local was_open = redis.call('HDEL', KEYS[1], 'blockedUntil', 'blockMs', 'probeUntil') > 0
redis.call('HSET', KEYS[1], 'unblockedAt', time[1] * 1000 + math.floor(time[2] / 1000))
return was_open and 1 or 0
