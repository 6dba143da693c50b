--[[
  BullMQ's updateJobScheduler, and its job where the jobs of a paused queue wait. Same KEYS, ARGV and answer.
  A scheduler of BullMQ 5.10 to 5.25 has no data of its own: it gets those of the current job, as BullMQ 5.81 does it.
  A script that was cut off when the next job was there, and before the schedule said so, is completed.
]]
--- @upstream updateJobScheduler
--- @include "carefully"
--- @include "follow_pause"
local record = KEYS[1] .. ':' .. ARGV[2]
if redis.call('HEXISTS', record, 'data') == 0 then
  local data = redis.call('HGET', KEYS[11], 'data')
  if data and data ~= '{}' and redis.call('EXISTS', record) == 1 then redis.call('HSET', record, 'data', data) end
end
local answer, duplicate = with_all_in_wait(KEYS[3], KEYS[4], KEYS[5], carefully, upstream_updateJobScheduler, KEYS, ARGV,
  { last = KEYS[1] })
if answer or not duplicate then return answer end

local base = ARGV[6]
local has_ended = redis.call('ZSCORE', base .. 'completed', duplicate) or redis.call('ZSCORE', base .. 'failed', duplicate)
if has_ended then return answer end
redis.call('ZADD', KEYS[1], string.match(duplicate, '%d+$'), ARGV[2])
return duplicate
