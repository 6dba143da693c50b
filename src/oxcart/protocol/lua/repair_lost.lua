--[[
  Jobs that exist and that no list or set names: nobody will ever run them. Put each where its own fields say.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 now in ms  4… ids to look at
  Reply  {id …} of the lost ones
]]
--- @include "repair"
local function is_named(id)
  for _, set in ipairs({ delayed, KEYS[6], KEYS[11], KEYS[12], KEYS[13] }) do
    if call('ZSCORE', set, id) then return true end
  end
  return call('LPOS', active, id) or call('LPOS', wait, id) or call('LPOS', paused, id)
end

local function adopt(id)
  local facts = call('HMGET', base .. id, 'finishedOn', 'returnvalue', 'failedReason', 'timestamp', 'delay')
  local timestamp, delay = tonumber(facts[4]) or 0, tonumber(facts[5]) or 0
  if tonumber(facts[1]) then
    local has_failed = facts[3] and not facts[2]
    call('ZADD', has_failed and KEYS[13] or KEYS[12], facts[1], id)
  elseif call('EXISTS', base .. id .. ':dependencies') == 1 then
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
  -- Only a job has a timestamp: a schedule's record and a flow's results are hashes, too.
  if is_job(id) and call('HEXISTS', base .. id, 'name') == 1 and call('HEXISTS', base .. id, 'timestamp') == 1
    and not is_held(id) and not is_named(id) then
    lost[#lost + 1] = id
    if mends then adopt(id) end
  end
end
return lost
