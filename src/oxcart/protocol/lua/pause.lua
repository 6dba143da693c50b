--[[
  BullMQ's pause, and its resume, with all that waits in the list that our rule (includes/follow_pause.lua) names.

  KEYS  as BullMQ's, but 1 wait  2 paused in either case
  ARGV  1 paused or resumed  2 '1' to emit the event
]]
--- @upstream pause
--- @include "follow_pause"
local pauses = ARGV[1] == 'paused'
gather(KEYS[1], KEYS[2], pauses and KEYS[2] or KEYS[1])
if not pauses then KEYS[1], KEYS[2] = KEYS[2], KEYS[1] end
return upstream_pause(KEYS, ARGV)
