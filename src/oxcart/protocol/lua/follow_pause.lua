--[[
  Sent behind a script of BullMQ that pushes to `wait`: in a paused queue its jobs join those in `paused`.

  KEYS  1 wait  2 paused  3 meta
  ARGV  1 RPUSH (next to be claimed) or LPUSH  2.. job ids
]]
--- @include "follow_pause"
if redis.call('HEXISTS', KEYS[3], 'paused') == 0 then return 0 end
if ARGV[1] == 'RPUSH' and redis.call('EXISTS', KEYS[2]) == 1 then
  for position = 2, #ARGV do
    if redis.call('LPOS', KEYS[1], ARGV[position], 'RANK', -1) then
      redis.call('RPUSH', KEYS[2], ARGV[position])
      redis.call('LREM', KEYS[1], -1, ARGV[position])
    end
  end
end
return gather(KEYS[1], KEYS[2], KEYS[2])
