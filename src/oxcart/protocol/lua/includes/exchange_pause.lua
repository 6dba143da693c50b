-- BullMQ 5 pauses by renaming `wait` to `paused`, and resumes by renaming it back over whatever is in `wait`. While it
-- has, what would go to `wait` goes to `paused` at the same end; in every other case `wait` is the list.
local paused_by_5 = paused and call('EXISTS', KEYS[8]) == 1
local waiting = paused_by_5 and KEYS[8] or wait

local function respect_pause_of_5(base, head_of_queue)
  if base == prefix then
    if not paused_by_5 then return end
  elseif call('HEXISTS', base .. 'meta', 'paused') == 0 or call('EXISTS', base .. 'paused') == 0 then
    return
  end
  if head_of_queue then
    local id = call('RPOP', base .. 'wait')
    if id then call('RPUSH', base .. 'paused', id) end
  end
  for _ = 1, 1000 do
    if not call('RPOPLPUSH', base .. 'wait', base .. 'paused') then return end
  end
end

local function text_of(failure)
  if type(failure) == 'table' then return failure.err or 'unknown error' end
  return tostring(failure)
end
