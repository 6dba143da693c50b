-- How many jobs ended in each minute? As BullMQ's collectMetrics counts them, one by one; here all of one state together. A
-- notice of what is written: should it fail, no end of a job is the worse for it.
local function count_ends(key, ends)
  local count = call('HINCRBY', key, 'count', ends) - ends
  local last = call('HMGET', key, 'prevTS', 'prevCount')
  if not last[1] then
    call('HSET', key, 'prevTS', now_text, 'prevCount', 0)
    return
  end
  local minutes = math.min(math.floor(now / 60000) - math.floor(last[1] / 60000), metrics_size)
  if minutes <= 0 then return end
  local points = { count - last[2] }
  for i = 2, minutes do points[i] = 0 end
  in_blocks(points, 1000, function(from, to) call('LPUSH', key .. ':data', unpack(points, from, to)) end)
  call('LTRIM', key .. ':data', 0, metrics_size - 1)
  call('HSET', key, 'prevCount', count, 'prevTS', now_text)
end

local completed, failed = 0, 0
for i = 1, count do
  if statuses[i] == 0 then
    local kind = verdicts[i].kind
    if kind == 'c' then completed = completed + 1 elseif kind == 'f' then failed = failed + 1 end
  end
end
if completed > 0 then pcall(count_ends, prefix .. 'metrics:completed', completed) end
if failed > 0 then pcall(count_ends, prefix .. 'metrics:failed', failed) end
