-- BullMQ 5 renames `wait` to `paused` on pause, and on resume renames it back over whatever is in `wait` by then. A job
-- that one of BullMQ 6's scripts has pushed to `wait` meanwhile must go to `paused` too, at the same end.
local function follow_pause(wait, paused, meta, push, id)
  if redis.call("HEXISTS", meta, "paused") == 0 or redis.call("EXISTS", paused) == 0 then return 0 end
  local moved = redis.call("LREM", wait, 1, id)
  if moved > 0 then redis.call(push, paused, id) end
  return moved
end
