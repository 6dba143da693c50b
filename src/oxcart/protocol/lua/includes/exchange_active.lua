-- How do finished jobs leave `active`? When all else of their end is written, those at the end of the list, the oldest, in
-- one command. Whoever else changes `active` calls flush() before.
local oldest, is_there = {}, {}             -- the end of the list, which of its ids have not left
local leaving, strays = 0, {}               -- how many of those have, and who leaves from further in
local has_looked = false
local TOMB = '0:left'                       -- a marker of BullMQ before 5 looks so: its stalled check takes it out

local function look_at_oldest()
  local size = count
  while true do
    local found = pcall_redis('LRANGE', active, -size, -1)
    if found.err then return end            -- a key of the wrong type: LPOS says so
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

local function is_active(id)
  if not has_looked then
    has_looked = true
    if count > 1 then look_at_oldest() end
  end
  return is_there[id] or call('LPOS', active, id)
end

local function leave_active(id)
  if is_there[id] then
    is_there[id] = nil
    leaving = leaving + 1
  else
    strays[#strays + 1] = id
  end
end

local function flush_active()
  if leaving > 0 then
    local staying = {}
    for i = 1, #oldest do
      if is_there[oldest[i]] then staying[#staying + 1] = oldest[i] end
    end
    if #staying == 0 or oldest[#staying] == staying[#staying] then -- who stays is younger than who leaves
      call('LTRIM', active, 0, -leaving - 1)
    elseif #staying < leaving then
      -- Those that leave lie among those that stay: the fewer are written over, so that nobody is ever out of the list.
      for i = 1, #staying do
        if oldest[i] ~= staying[i] then call('LSET', active, i - 1 - #oldest, staying[i]) end
      end
      call('LTRIM', active, 0, -leaving - 1)
    else
      for i = 1, #oldest do
        if not is_there[oldest[i]] then call('LSET', active, i - 1 - #oldest, TOMB) end
      end
      call('LREM', active, -leaving, TOMB)
    end
  end
  for i = 1, #strays do call('LREM', active, -1, strays[i]) end
  oldest, is_there, leaving, strays = {}, {}, 0, {}
end
