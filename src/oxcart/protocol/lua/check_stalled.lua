--[[
  BullMQ's moveStalledJobsToWait, and what a queue paused by BullMQ 5 needs behind it, in one step: between two the
  resume could come. Same KEYS, ARGV and answer: the ids that were put back, to be claimed next.
]]
--- @upstream moveStalledJobsToWait
--- @include "follow_pause"
local stalled = upstream_moveStalledJobsToWait(KEYS, ARGV)
for _, id in ipairs(stalled) do follow_pause(KEYS[2], KEYS[6], KEYS[5], 'RPUSH', id) end
return stalled
