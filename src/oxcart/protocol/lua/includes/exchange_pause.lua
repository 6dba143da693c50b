-- What BullMQ's scripts push to `wait` goes to `paused` while BullMQ 5 has renamed the one to the other.
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
