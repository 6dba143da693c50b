--[[
  Let delayed jobs run that no worker has taken up in time. In a paused queue they are not late.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 due until then (ms)  4 how many at most
  Reply  {how many are overdue, {id …} of those looked at}
  Source: BullMQ promoteDelayedJobs.
]]
--- @include "repair"
if call('TYPE', delayed).ok ~= 'zset' or call('HEXISTS', meta, 'paused') == 1 then return { 0, {} } end
local highest = string.format('%.0f', (tonumber(ARGV[3]) + 1) * 0x1000 - 1)
local total, overdue = call('ZCOUNT', delayed, 0, highest), {}
for _, id in ipairs(call('ZRANGEBYSCORE', delayed, 0, highest, 'LIMIT', 0, ARGV[4])) do
  if is_job(id) then
    overdue[#overdue + 1] = id
    if mends then
      call('HSET', base .. id, 'delay', 0)
      put_back(id, 'LPUSH', 'delayed', { 'ZREM', delayed, id })
    end
  end
end
return { total, overdue }
