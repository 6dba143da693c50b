--[[
  BullMQ's addJobScheduler, and its job where the jobs of a paused queue wait. Same KEYS, ARGV and answer.
]]
--- @upstream addJobScheduler
--- @include "carefully"
--- @include "follow_pause"
local answer = with_all_in_wait(KEYS[3], KEYS[4], KEYS[5], carefully, upstream_addJobScheduler, KEYS, ARGV,
  { last = KEYS[1] })
return answer
