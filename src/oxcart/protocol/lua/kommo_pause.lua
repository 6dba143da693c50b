--[[
  Kommo has answered 429: the whole bucket pauses.

  KEYS   1 state (hash)
  ARGV   1 ms to pause  2 when the refused request was let go (ms, of this server's clock)
  Reply  {ms until it goes on, refusals in a row, 1 if this is a refusal of its own}

  A second refusal in a row doubles the pause, and each one after the first halves the rate (kommo_acquire.lua). One
  that was let go before the pause began belongs to the refusal that began it.
]]
local call = redis.call
local MOST_DOUBLED, LONGEST, GRANTS_IN_A_ROW = 5, 86400000, 100

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local facts = call('HMGET', KEYS[1], 'pausedUntil', 'refusals', 'grants')
local paused_until, refusals, grants = tonumber(facts[1]) or 0, tonumber(facts[2]) or 0, tonumber(facts[3]) or 0
local length = tonumber(ARGV[1])

local is_new = tonumber(ARGV[2]) >= paused_until
if is_new then
  refusals = grants > GRANTS_IN_A_ROW and math.max(refusals, 1) or refusals + 1
  length = math.min(length * 2 ^ math.min(refusals - 1, MOST_DOUBLED), math.max(LONGEST, length))
  call('HSET', KEYS[1], 'refusals', refusals, 'grants', 0)
end
paused_until = math.max(paused_until, now + length)
call('HSET', KEYS[1], 'pausedUntil', paused_until)
local rest = paused_until - now
if call('PTTL', KEYS[1]) < rest + 3600000 then call('PEXPIRE', KEYS[1], math.ceil(rest) + 3600000) end
return {math.ceil(rest), refusals, is_new and 1 or 0}
