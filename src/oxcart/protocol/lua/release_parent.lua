--[[
  The whole flow is there: let a parent run all of whose children had ended before, and take out what kept it waiting.
  While children are added one after the other, a finished one would otherwise release it before the next is there.

  KEYS  1-14 as in includes/repair.lua
  ARGV  1 the prefix of job keys  2 '1'  3 the parent's id  4 now in ms  5 the member that stands for children to come
        6… the keys of its children in this flow: with one that another parent holds it waits on, as it does under Node,
        where the refused add leaves `flowAttachmentFailed` in the parent for this script
  Source: BullMQ 6.7 releaseParentIfNoPendingDependencies, handleDuplicatedJob.
]]
--- @include "repair"
local id = ARGV[3]
local dependencies = base .. id .. ':dependencies'
call('SREM', dependencies, ARGV[5])
for at = 6, #ARGV do
  local holder = call('HGET', ARGV[at], 'parentKey')
  if holder and holder ~= base .. id and call('EXISTS', holder) == 1 then return end
end
if call('SCARD', dependencies) == 0 and call('ZSCORE', KEYS[11], id) then let_parent_run(id, ARGV[4]) end
