--[[
  The next job of a repeatable job of BullMQ before 5.10, or of Bull, which keep no record but a member of `repeat`.
  Does nothing if somebody has removed it, or has made this next job before. Its data are those of the current job.

  KEYS  1 marker  2 meta  3 id  4 delayed  5 completed  6 events  7 repeat  8 the current job
  ARGV  1 prefix  2 member of `repeat`  3 next ms  4 id of the next job  5 msgpacked opts of the next job  6 now ms
  Reply the id of the next job, or nil
]]
--- @upstream addDelayedJob
--- @include "carefully"
local due = redis.call('ZSCORE', KEYS[7], ARGV[2])
if not due or tonumber(due) >= tonumber(ARGV[3]) then return nil end
local job = redis.call('HMGET', KEYS[8], 'name', 'data')
if not job[1] then return nil end
carefully(upstream_addDelayedJob,
  { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6] },
  { cmsgpack.pack({ ARGV[1], ARGV[4], job[1], tonumber(ARGV[6]), nil, nil, nil, ARGV[2] }), job[2] or '{}', ARGV[5] })
redis.call('ZADD', KEYS[7], ARGV[3], ARGV[2])
return ARGV[4]
