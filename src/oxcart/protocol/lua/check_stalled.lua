--[[
  BullMQ's moveStalledJobsToWait, and `wait` and `paused` put in order, in one step: between two a resume could come. Also
  brings back what a resume by somebody else has left in `paused`. Same KEYS and ARGV.
  Answers {ids that were put back, to be claimed next; ms until anybody may check again; length of `active`}: one check
  counts for all workers, so most calls find that another worker has just made it.
]]
--- @upstream moveStalledJobsToWait
--- @include "carefully"
--- @include "follow_pause"
if redis.call('HEXISTS', KEYS[5], 'paused') == 0 and gather(KEYS[2], KEYS[6], KEYS[2]) > 0 then
  redis.call('ZADD', KEYS[7], 0, '0')
end

-- Ids without a job: the next claim takes them out and tells it. In the script one of them would end the check for all.
local function put_back_what_is_no_job()
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local job = ARGV[2] .. id
    if redis.call('EXISTS', job .. ':lock') == 0 and redis.call('TYPE', job).ok ~= 'hash' then
      if redis.call('LPOS', KEYS[3], id) then
        redis.call('RPUSH', KEYS[2], id)
        redis.call('LREM', KEYS[3], 1, id)
      end
      redis.call('SREM', KEYS[1], id)
    end
  end
end

-- A job of Node's whose id is the name of this key: nobody could check any more.
if redis.call('TYPE', KEYS[4]).ok == 'hash' then redis.call('RENAME', KEYS[4], ARGV[2] .. 'oxcart:misnamed:stalled-check') end
local stalled = {}
if redis.call('EXISTS', KEYS[4]) == 0 then
  put_back_what_is_no_job()
  stalled = with_all_in_wait(KEYS[2], KEYS[6], KEYS[5], carefully, upstream_moveStalledJobsToWait, KEYS, ARGV,
    { at_once = KEYS[1] })
end
return { stalled, redis.call('PTTL', KEYS[4]), redis.call('LLEN', KEYS[3]) }
