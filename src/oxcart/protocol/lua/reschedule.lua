--[[
  The `reschedule` of a deduplication: the delayed job that keeps this one away gets its delay, from now. Sent behind the
  add script, which in the version we ship does not know it. Does nothing if the job was added, or is no longer delayed.

  KEYS  1 deduplication key  2 delayed  3 meta  4 marker  5 events
  ARGV  1 the prefix of job keys  2 the id that was to be added  3 delay in ms  4 now in ms
  Source: BullMQ 6.7, deduplicateJob.
]]
--- @upstream changeDelay
local current = redis.call('GET', KEYS[1])
if not current or current == ARGV[2] or not redis.call('ZSCORE', KEYS[2], current) then return 0 end
upstream_changeDelay({ KEYS[2], KEYS[3], KEYS[4], KEYS[5] }, { ARGV[3], ARGV[4], current, ARGV[1] .. current }, redis)
return 1
