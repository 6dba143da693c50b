--[[
  Jobs that exist and that no list or set names: nobody will ever run them. Put each where its own fields say.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 now in ms  4… ids to look at
  Reply  {id …} of the lost ones
]]
--- @include "repair"
local function adopt(id)
  local facts = call('HMGET', base .. id, 'finishedOn', 'returnvalue', 'failedReason', 'timestamp', 'delay')
  local timestamp, delay = tonumber(facts[4]) or 0, tonumber(facts[5]) or 0
  if tonumber(facts[1]) then
    local has_failed = facts[3] and not facts[2]
    call('ZADD', has_failed and KEYS[13] or KEYS[12], facts[1], id)
  elseif is_a('set', base .. id .. ':dependencies') then
    call('ZADD', KEYS[11], timestamp, id)
  elseif delay > 0 and timestamp + delay > tonumber(ARGV[3]) then
    put_to_delayed(id, timestamp + delay)
  else
    put_back(id, 'LPUSH')
  end
end

local lost = {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if is_whole_job(id) and not is_held(id) and not is_named(id) then
    lost[#lost + 1] = id
    if mends then adopt(id) end
  end
end
return lost
