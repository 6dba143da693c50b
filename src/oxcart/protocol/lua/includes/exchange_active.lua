-- How do finished jobs leave `active`? Those at its end, the oldest, are put off and leave in one command: a seventh of the
-- commands of an exchange. Whoever else changes `active` calls flush() before, and from then on each leaves by itself.
local oldest, is_there, leaving = {}, {}, 0 -- the end of the list, which of its ids have not left, how many have
local has_looked = false

local function look_at_oldest()
  local size = count
  while true do
    local found = pcall_redis('LRANGE', active, -size, -1)
    if found.err then return end            -- a key of the wrong type: each job's own LREM says so
    is_there = {}
    for i = 1, #found do
      local id = found[i]
      if is_there[id] then                  -- twice in the list: LREM knows which of them goes
        is_there = {}
        return
      end
      is_there[id] = true
    end
    local hits = 0
    for i = 1, count do
      if is_there[ids[i]] then hits = hits + 1 end
    end
    if hits * 2 >= count or #found < size or size > count then
      oldest = found
      return
    end
    size = 4 * size                         -- another exchange has older ones: these are a little further in
  end
end

-- False if the job was not there. The first one leaves at once: a script that has written before is let through by a
-- server whose memory is full, and what finishes frees some.
local function leave_active(id)
  if not has_looked then
    has_looked = true
    local was_there = call('LREM', active, -1, id) > 0
    if count > 1 then look_at_oldest() end
    return was_there
  end
  if not is_there[id] then return call('LREM', active, -1, id) > 0 end
  is_there[id] = nil
  leaving = leaving + 1
  return true
end

local function flush_active()
  if leaving > 0 then
    local staying = {}
    for i = 1, #oldest do
      if is_there[oldest[i]] then staying[#staying + 1] = oldest[i] end
    end
    if #staying == 0 or oldest[#staying] == staying[#staying] then -- who stays is younger than who leaves
      call('LTRIM', active, 0, -leaving - 1)
    elseif leaving <= 4 then
      for _, id in ipairs(oldest) do
        if not is_there[id] then call('LREM', active, -1, id) end
      end
    else                                    -- each LREM would walk past all that stay
      call('LTRIM', active, 0, -#oldest - 1)
      in_blocks(staying, 1000, function(from, to) call('RPUSH', active, unpack(staying, from, to)) end)
    end
  end
  oldest, is_there, leaving = {}, {}, 0
end
