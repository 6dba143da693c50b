--[[
  BullMQ's updateJobScheduler, and its job where the jobs of a paused queue wait. Same KEYS, ARGV and answer.
]]
--- @upstream updateJobScheduler
--- @include "follow_pause"
return with_all_in_wait(KEYS[3], KEYS[4], KEYS[5], upstream_updateJobScheduler, KEYS, ARGV)
