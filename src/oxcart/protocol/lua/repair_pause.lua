--[[
  Jobs in the wrong one of `wait` and `paused`. BullMQ 5 pauses by renaming `wait`; version 6 never looks at `paused`.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 how many jobs to move at most
  Reply  {1 if the queue is paused, how many were moved (or are to be), how many are left}
  The order stays: what is moved was added before what it meets in `wait`, and after what it meets in `paused`.
]]
--- @include "repair"
local is_paused = call('HEXISTS', meta, 'paused')
local from = paused
if is_paused == 1 then
  if call('EXISTS', paused) == 0 then return { 1, 0, 0 } end
  from = wait
end
if call('TYPE', from).ok ~= 'list' then return { is_paused, 0, 0 } end
local length = call('LLEN', from)
if not mends then return { is_paused, length, 0 } end

local moved = math.min(length, tonumber(ARGV[3]))
if is_paused == 1 then
  for _ = 1, moved do call('RPOPLPUSH', wait, paused) end
elseif call('EXISTS', wait) == 0 then
  call('RENAME', paused, wait)
  moved = length
else
  for _ = 1, moved do call('RPUSH', wait, call('LPOP', paused)) end
end
announce()
return { is_paused, moved, length - moved }
