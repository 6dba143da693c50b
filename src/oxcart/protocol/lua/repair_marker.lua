--[[
  Wake a worker that does not know of the jobs it could claim: the marker is what idle workers wait for.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there
  Reply  how many jobs can be claimed and nobody is told of; 0 if all is well
  A worker that holds a job looks for more when that one ends: beside it nothing is missing.
]]
--- @include "repair"
if call('ZSCORE', KEYS[9], '0') or is_blocked() then return 0 end
local used = tonumber(call('GET', KEYS[14]) or 0) or 0
if used >= (tonumber(call('HGET', meta, 'max')) or 9007199254740991) and call('PTTL', KEYS[14]) > 0 then return 0 end
-- The next hundred tell: ids without a job are nothing to wake a worker for.
local function has_job(ids)
  for _, id in ipairs(ids) do
    if is_job(id) then return true end
  end
  return false
end
if not has_job(call('LRANGE', wait, -100, -1)) and not has_job(call('ZRANGE', KEYS[6], 0, 99)) then return 0 end
for _, id in ipairs(call('LRANGE', active, 0, 999)) do
  if is_held(id) then return 0 end
end
if mends then announce() end
return call('LLEN', wait) + call('ZCARD', KEYS[6])
