--[[
  Jobs in the wrong one of `wait` and `paused` (includes/follow_pause.lua says which is right). All in `wait` of a paused
  queue is how BullMQ 6 pauses, and nothing to mend.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there
  Reply  {1 if the queue is paused, how many were moved (or are to be)}
]]
--- @include "repair"
local is_paused = call('HEXISTS', meta, 'paused')
if call('EXISTS', paused) == 0 then return { is_paused, 0 } end
local from, target = paused, wait
if is_paused == 1 then from, target = wait, paused end
if call('TYPE', from).ok ~= 'list' then return { is_paused, 0 } end
if not mends then return { is_paused, call('LLEN', from) } end
local moved = gather(wait, paused, target)
if moved > 0 then announce() end
return { is_paused, moved }
