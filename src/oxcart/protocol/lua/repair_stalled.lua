--[[
  Which active jobs has nobody a lock of? And take ids out of `stalled` that are not active.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there
  Reply  {{active id without a lock …}, {id that `stalled` named for nothing …}}
  Reads `active` and `stalled` as a whole, as BullMQ's own stalled check does.
]]
--- @include "repair"
local is_active, unlocked, strays = {}, {}, {}
for _, id in ipairs(call('LRANGE', active, 0, -1)) do
  is_active[id] = true
  if is_job(id) and not has_lock(id) then unlocked[#unlocked + 1] = id end
end
for _, id in ipairs(call('SMEMBERS', KEYS[10])) do
  if not is_active[id] then
    strays[#strays + 1] = id
    if mends then call('SREM', KEYS[10], id) end
  end
end
return { unlocked, strays }
