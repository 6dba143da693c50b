--[[
  Take the ids out of one list or sorted set that have no job behind them, and what their jobs left behind.

  KEYS   1-14 as in includes/repair.lua  15 the list or set to look through
  ARGV   1-2 as there  3 where to begin (from the left of a list, the end of a set)  4 how many ids to look at
  Reply  {how long it is now, {id …}}
  What a worker holds is left to it.
]]
--- @include "repair"
local place, first = KEYS[15], tonumber(ARGV[3])
local last = first + tonumber(ARGV[4]) - 1
local kind = call('TYPE', place).ok
if kind ~= 'list' and kind ~= 'zset' then return { 0, {} } end
local TAKEN_OUT = '0:taken out'

local ghosts = {}
for at, id in ipairs(call(kind == 'list' and 'LRANGE' or 'ZREVRANGE', place, first, last)) do
  -- "0:<time>" are markers of BullMQ before 5
  if not string.match(id, '^0:%d+$') and not is_job(id) and not is_held(id) then
    ghosts[#ghosts + 1] = id
    if mends and kind == 'list' then call('LSET', place, first + at - 1, TAKEN_OUT) end
  end
end

if mends then
  -- One pass over a list, however many there are.
  if kind == 'list' and #ghosts > 0 then call('LREM', place, 0, TAKEN_OUT) end
  for _, id in ipairs(ghosts) do
    if kind == 'zset' then call('ZREM', place, id) end
    if place == active then call('SREM', KEYS[10], id) end
    if call('EXISTS', base .. id) == 0 then forget(id) end
  end
end
return { call(kind == 'list' and 'LLEN' or 'ZCARD', place), ghosts }
