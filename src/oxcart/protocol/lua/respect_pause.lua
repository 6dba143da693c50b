--[[
  BullMQ 5 resumes a queue by renaming `paused` over whatever is in `wait`. While a queue is paused by it, move what a
  script of BullMQ 6 put into `wait` to `paused`, oldest first, so that the resume loses nothing.

  KEYS   1 meta  2 wait  3 paused
  Reply  how many were moved, at most 1000
]]
if redis.call('HEXISTS', KEYS[1], 'paused') == 0 or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
for moved = 0, 999 do
  if not redis.call('RPOPLPUSH', KEYS[2], KEYS[3]) then return moved end
end
return 1000
