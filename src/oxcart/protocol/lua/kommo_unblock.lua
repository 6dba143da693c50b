--[[
  A probe came through: close the circuit.

  KEYS   1 state (hash)
]]
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'blockedUntil', 'blockMs', 'probeUntil')
redis.call('HSET', KEYS[1], 'unblockedAt', time[1] * 1000 + math.floor(time[2] / 1000))
return 1
