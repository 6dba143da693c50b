--[[
  Let parents run that wait for children, and have none left to wait for.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 where to begin, from the end of the set  4 how many to look at  5 now in ms
  Reply  {how long `waiting-children` is now, {id …}}
  Source: BullMQ moveParentToWait.
]]
--- @include "repair"
local set, first = KEYS[11], tonumber(ARGV[3])
if call('TYPE', set).ok ~= 'zset' then return { 0, {} } end

local ready = {}
for _, id in ipairs(call('ZREVRANGE', set, first, first + tonumber(ARGV[4]) - 1)) do
  if is_job(id) and call('EXISTS', base .. id .. ':dependencies') == 0 then
    ready[#ready + 1] = id
    if mends then
      local delay = tonumber(call('HGET', base .. id, 'delay')) or 0
      if delay > 0 then
        put_to_delayed(id, tonumber(ARGV[5]) + delay, { 'ZREM', set, id })
      else
        put_back(id, 'RPUSH', 'waiting-children', { 'ZREM', set, id })
      end
    end
  end
end
return { call('ZCARD', set), ready }
