--[[
  BullMQ's moveStalledJobsToWait, and `wait` and `paused` put in order, in one step: between two a resume could come. Also
  brings back what a resume by somebody else has left in `paused`. Same KEYS and ARGV.
  Answers {ids that were put back, to be claimed next; ms until anybody may check again; length of `active`}: one check
  counts for all workers, so most calls find that another worker has just made it.
]]
--- @upstream moveStalledJobsToWait
--- @include "follow_pause"
if redis.call('HEXISTS', KEYS[5], 'paused') == 0 and gather(KEYS[2], KEYS[6], KEYS[2]) > 0 then
  redis.call('ZADD', KEYS[7], 0, '0')
end
local stalled = with_all_in_wait(KEYS[2], KEYS[6], KEYS[5], upstream_moveStalledJobsToWait, KEYS, ARGV)
return { stalled, redis.call('PTTL', KEYS[4]), redis.call('LLEN', KEYS[3]) }
