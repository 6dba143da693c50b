--[[
  Let parents run that wait for children, and have none left to wait for. A child whose job is gone never ends: its parent
  waits for it no longer, as if somebody had removed it with BullMQ's script.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3 where to begin, from the end of the set  4 how many to look at  5 now in ms
  Reply  {how long `waiting-children` is now, how many left it, {id … without children}, {id … with children that are gone}}
  Source: BullMQ removeParentDependencyKey.
]]
--- @include "repair"
local set, first = KEYS[11], tonumber(ARGV[3])
if not is_a('zset', set) then return { 0, 0, {}, {} } end

-- Of up to a thousand children: a parent of more is looked at again by the next repair.
local function gone_children(dependencies)
  local gone = {}
  for _, child in ipairs(call('SSCAN', dependencies, 0, 'COUNT', 1000)[2]) do
    if call('EXISTS', child) == 0 then gone[#gone + 1] = child end
  end
  return gone
end

local left = 0
local function let_run(id)
  left = left + 1
  let_parent_run(id, ARGV[5])
end

local ready, bereft = {}, {}
for _, id in ipairs(call('ZREVRANGE', set, first, first + tonumber(ARGV[4]) - 1)) do
  local dependencies = base .. id .. ':dependencies'
  if is_job(id) and not is_a('set', dependencies) then
    ready[#ready + 1] = id
    if mends then let_run(id) end
  elseif is_job(id) then
    local gone = gone_children(dependencies)
    if #gone > 0 then
      bereft[#bereft + 1] = id
      if mends then
        for _, child in ipairs(gone) do call('SREM', dependencies, child) end
        if call('SCARD', dependencies) == 0 then let_run(id) end
      end
    end
  end
end
return { call('ZCARD', set), left, ready, bereft }
