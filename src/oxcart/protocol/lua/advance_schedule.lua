--[[
  BullMQ's updateJobScheduler, and what a queue paused by BullMQ 5 needs behind it. Same KEYS and ARGV, one more ARGV:
  8 RPUSH or LPUSH, the end at which its job enters `wait`. Same answer.
]]
--- @upstream updateJobScheduler
--- @include "follow_pause"
local answer = upstream_updateJobScheduler(KEYS, ARGV)
if answer then follow_pause(KEYS[3], KEYS[4], KEYS[5], ARGV[8], answer) end
return answer
