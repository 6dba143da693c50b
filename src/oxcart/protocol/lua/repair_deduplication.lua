--[[
  Free deduplication ids that nobody will: their job is gone or has finished, and the key has no end of its own.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3… deduplication ids
  Reply  {deduplication id …} that were freed, or are to be
]]
--- @include "repair"
local function is_over(id)
  return not is_job(id) or call('ZSCORE', KEYS[12], id) or call('ZSCORE', KEYS[13], id)
end

local freed = {}
for at = 3, #ARGV do
  local key = base .. 'de:' .. ARGV[at]
  if is_a('string', key) and call('PTTL', key) == -1 and is_over(call('GET', key)) then
    freed[#freed + 1] = ARGV[at]
    if mends then call('DEL', key) end
  end
end
return freed
