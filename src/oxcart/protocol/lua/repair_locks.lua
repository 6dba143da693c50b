--[[
  Remove locks that no worker has: those without an end, and those of jobs that are gone.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3… ids that have a lock
  Reply  {id …} whose lock was removed, or is to be
]]
--- @include "repair"
local orphans = {}
for at = 3, #ARGV do
  local id = ARGV[at]
  local lock = base .. id .. ':lock'
  local rest = has_lock(id) and call('PTTL', lock)
  local is_gone = rest and call('EXISTS', base .. id) == 0 and not call('LPOS', active, id)
  if rest == -1 or is_gone then
    orphans[#orphans + 1] = id
    if mends then call('DEL', lock) end
  end
end
return orphans
