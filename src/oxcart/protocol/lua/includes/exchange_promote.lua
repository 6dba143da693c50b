-- Lets delayed jobs run whose time has come: each is where it is claimed before any leaves `delayed`.
local function promote(is_blocked)
  local due = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, promotion_limit)
  if #due == 0 then return end
  local moved, undo = {}, {}
  local function put(id)
    local job = prefix .. id
    local priority = pcall_redis('HGET', job, 'priority')
    if type(priority) == 'table' then
      local kind = pcall_redis('TYPE', job).ok
      if not kind or kind == 'hash' then error(priority, 0) end
      notes[#notes + 1] = { id, priority.err }
      moved[#moved + 1] = id
      return
    end
    priority = tonumber(priority) or 0
    if priority == 0 then
      call('LPUSH', wait, id)
      undo[#undo + 1] = { 'LREM', wait, 1, id }
    else
      call('ZADD', prioritized, priority * 0x100000000 + call('INCR', KEYS[10]) % 0x100000000, id)
      undo[#undo + 1] = { 'ZREM', prioritized, id }
    end
    moved[#moved + 1] = id
    call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', job, 'delay', 0)
  end
  local ok, failure = true, nil
  for _, id in ipairs(due) do
    if ok then ok, failure = pcall(put, id) end
  end
  if #moved > 0 then
    local left = pcall_redis('ZREM', delayed, unpack(moved))
    if type(left) == 'table' then
      ok, failure = false, left
      for at = #undo, 1, -1 do pcall_redis(unpack(undo[at])) end
    end
  end
  if not ok then error(failure, 0) end
  if not is_blocked then call('ZADD', KEYS[11], 0, '0') end
end
