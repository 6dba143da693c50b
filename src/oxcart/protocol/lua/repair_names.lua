--[[
  What is behind each of these names of the queue? Told by type and content.

  KEYS   1-14 as in includes/repair.lua
  ARGV   1-2 as there  3… what follows the prefix in a key
  Reply  {one of job, orphan, lock, deduplication or '' for each}
  An orphan is a hash with nothing but the end of a job, as a write after its removal leaves it.
]]
--- @include "repair"
local OF_AN_END = { atm = 1, ats = 1, attemptsMade = 1, defa = 1, delay = 1, failedReason = 1, finishedOn = 1, pb = 1,
  priority = 1, processedOn = 1, progress = 1, returnvalue = 1, stacktrace = 1, stc = 1 }

local function is_orphan(key)
  local fields = call('HLEN', key) < 20 and call('HKEYS', key) or { 'many' }
  for _, field in ipairs(fields) do
    if not OF_AN_END[field] then return false end
  end
  return true
end

local kinds = {}
for at = 3, #ARGV do
  local name, kind = ARGV[at], ''
  local of = call('TYPE', base .. name).ok
  if of == 'hash' then
    kind = is_whole_job(name) and 'job' or is_orphan(base .. name) and 'orphan' or ''
  elseif of == 'string' then
    local locked = string.match(name, '^(.*):lock$')
    if locked and has_lock(locked) then kind = 'lock'
    elseif string.sub(name, 1, 3) == 'de:' then kind = 'deduplication' end
  end
  kinds[#kinds + 1] = kind
end
return kinds
