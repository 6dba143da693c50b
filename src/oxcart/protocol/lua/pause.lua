--[[
  BullMQ's pause, and its resume, with all that waits in the list that our rule (includes/follow_pause.lua) names.

  KEYS  as BullMQ's, but 1 wait  2 paused in either case
  ARGV  1 paused or resumed  2 '1' to emit the event
]]
--- @upstream pause
--- @include "follow_pause"
local wait, paused = KEYS[1], KEYS[2]
if ARGV[1] == 'paused' then
  local answer = upstream_pause(KEYS, ARGV, redis)
  gather(wait, paused, paused)
  return answer
end
gather(wait, paused, wait)
KEYS[1], KEYS[2] = paused, wait
return upstream_pause(KEYS, ARGV, redis)
