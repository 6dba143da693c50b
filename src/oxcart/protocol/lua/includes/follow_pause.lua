-- In which list do jobs wait? In a paused queue all of them in `paused`, else all in `wait`: whoever paused it, and even if
-- nothing waited then. Every script of ours leaves a queue so. It keeps every job, because
--   BullMQ 5 pauses by renaming `wait` over `paused`, adds to `paused` from then on, and resumes by renaming `paused` over
--   `wait`, each only if there is something to rename: what is in the list that is overwritten is lost;
--   BullMQ 6 adds to `wait` in either case, and on resume appends `paused` to `wait`, as we do.
-- What BullMQ 6 alone has put into `wait` of a paused queue is lost to a resume by 5 that comes before any script of ours.

-- Puts what is in both lists into `target`, one of the two, and says how many were not there. What is in `wait` goes behind
-- what is in `paused`. The shorter list is moved: a long one would hold up the server.
local function gather(wait, paused, target)
  local call = redis.call
  local other = target == wait and paused or wait
  if call('TYPE', other).ok ~= 'list' then return 0 end
  local kind = call('TYPE', target).ok
  if kind ~= 'list' and kind ~= 'none' then return 0 end
  local moved, longer = call('LLEN', other), other
  if kind == 'list' then
    local younger, older = call('LLEN', wait), call('LLEN', paused)
    if younger < older then
      for _ = 1, younger do call('RPOPLPUSH', wait, paused) end
      longer = paused
    else
      for _ = 1, older do call('LMOVE', paused, wait, 'LEFT', 'RIGHT') end
      longer = wait
    end
  end
  if longer ~= target then call('RENAME', longer, target) end
  return moved
end

-- Calls a script of BullMQ 6, which knows `wait` only: what it pushes there joins what waited at the same end.
local function with_all_in_wait(wait, paused, meta, call_upstream, ...)
  if redis.call('HEXISTS', meta, 'paused') == 0 then return call_upstream(...) end
  gather(wait, paused, wait)
  local ok, answer, more = pcall(call_upstream, ...)
  gather(wait, paused, paused)
  if not ok then error(answer, 0) end
  return answer, more
end
