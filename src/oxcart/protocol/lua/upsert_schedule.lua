--[[
  BullMQ's addJobScheduler, and what a queue paused by BullMQ 5 needs behind it. Same KEYS and ARGV, one more ARGV:
  10 RPUSH or LPUSH, the end at which its job enters `wait`. Same answer.
]]
--- @upstream addJobScheduler
--- @include "follow_pause"
local answer = upstream_addJobScheduler(KEYS, ARGV)
if type(answer) == "table" and answer[1] then follow_pause(KEYS[3], KEYS[4], KEYS[5], ARGV[10], answer[1]) end
return answer
