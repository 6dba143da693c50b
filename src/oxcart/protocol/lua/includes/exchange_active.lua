-- How do finished jobs leave `active`? Those at its end, the oldest, are put off and leave in one command: a seventh of the
-- commands of an exchange. Whoever else changes `active` calls flush() before, and from then on each leaves by itself.
local oldest, is_there, leaving = {}, {}, 0 -- the end of the list, which of its ids have not left, how many have
local has_looked = false

local function look_at_oldest()
  local ids = pcall_redis('LRANGE', active, -#items, -1)
  if ids.err then return end                -- a key of the wrong type: each job's own LREM says so
  for _, id in ipairs(ids) do
    if is_there[id] then                    -- twice in the list: LREM knows which of them goes
      is_there = {}
      return
    end
    is_there[id] = true
  end
  oldest = ids
end

-- False if the job was not there. The first one leaves at once: a script that has written before is let through by a
-- server whose memory is full, and what finishes frees some.
local function leave_active(id)
  if not has_looked then
    has_looked = true
    local was_there = call('LREM', active, -1, id) > 0
    if #items > 1 then look_at_oldest() end
    return was_there
  end
  if not is_there[id] then return call('LREM', active, -1, id) > 0 end
  is_there[id] = nil
  leaving = leaving + 1
  return true
end

local function flush_active()
  if leaving > 0 then
    local still_there = false
    for i = #oldest - leaving + 1, #oldest do still_there = still_there or is_there[oldest[i]] end
    if not still_there then
      call('LTRIM', active, 0, -leaving - 1)
    else
      for _, id in ipairs(oldest) do
        if not is_there[id] then call('LREM', active, -1, id) end
      end
    end
  end
  oldest, is_there, leaving = {}, {}, 0
end
