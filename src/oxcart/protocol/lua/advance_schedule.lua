--[[
  BullMQ's updateJobScheduler, and its job where the jobs of a paused queue wait. Same KEYS, ARGV and answer.
  A scheduler of BullMQ 5.10 to 5.25 has no data of its own: it gets those of the current job, as BullMQ 5.81 does it.
]]
--- @upstream updateJobScheduler
--- @include "follow_pause"
local record = KEYS[1] .. ':' .. ARGV[2]
if redis.call('HEXISTS', record, 'data') == 0 then
  local data = redis.call('HGET', KEYS[11], 'data')
  if data and data ~= '{}' and redis.call('EXISTS', record) == 1 then redis.call('HSET', record, 'data', data) end
end
return with_all_in_wait(KEYS[3], KEYS[4], KEYS[5], upstream_updateJobScheduler, KEYS, ARGV)
