--[[
  Kommo has locked this address out (an HTML 403): open the circuit, for longer each time a probe finds it still so.

  KEYS   1 state (hash)
  ARGV   1 ms of the first block  2 ms at most  3 when the blocked request was let go  4 1 if it was the probe
  Reply  {ms until the next probe, 1 if this began the block or prolonged it}
]]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local facts = call('HMGET', KEYS[1], 'blockedUntil', 'blockMs', 'unblockedAt')
local blocked_until, block_ms, unblocked_at = tonumber(facts[1]) or 0, tonumber(facts[2]) or 0, tonumber(facts[3]) or 0
local let_go = tonumber(ARGV[3])

if let_go < unblocked_at then return {0, 0} end                  -- it was on its way when a probe came through
if blocked_until == 0 then
  block_ms = tonumber(ARGV[1])
elseif ARGV[4] == '1' and let_go >= blocked_until then
  block_ms = math.min(block_ms * 2, tonumber(ARGV[2]))
else
  return {math.ceil(math.max(blocked_until - now, 0)), 0}
end
call('HSET', KEYS[1], 'blockedUntil', now + block_ms, 'blockMs', block_ms, 'probeUntil', 0)
call('PEXPIRE', KEYS[1], math.ceil(block_ms) + 172800000)         -- two days longer: a block is not forgotten
return {math.ceil(block_ms), 1}
