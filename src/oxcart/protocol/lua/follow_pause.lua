--[[
  Sent behind a script of BullMQ that pushes to `wait`.

  KEYS  1 wait  2 paused  3 meta
  ARGV  1 RPUSH (next to be claimed) or LPUSH  2.. job ids
  Answers how many jobs were moved.
]]
--- @include "follow_pause"
local moved = 0
for position = 2, #ARGV do
  moved = moved + follow_pause(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[position])
end
return moved
