--[[
  Remove what is left of jobs that are gone and still takes their ids: a job of such an id is never added.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3… ids of orphans
  Reply  {id …} whose remains were removed, or are to be
]]
--- @include "repair"
local orphans = {}
for at = 3, #ARGV do
  local id = ARGV[at]
  local has = is_job(id) and call('HMGET', base .. id, 'name', 'data', 'opts', 'timestamp')
  if has and not (has[1] or has[2] or has[3] or has[4]) and not is_held(id) and not is_named(id) then
    orphans[#orphans + 1] = id
    if mends then
      call('DEL', base .. id)
      forget(id)
    end
  end
end
return orphans
