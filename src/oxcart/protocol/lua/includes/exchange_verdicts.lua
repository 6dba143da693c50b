-- How do all verdicts of an exchange get written? In order, each by itself, what can wait at the end of a run together.
local ids, values, verdicts = {}, {}, {}   -- of each verdict: its job, its `a`, and what it shares with its run
local job_keys, lock_keys = {}, {}
local count = 0
for _, run in ipairs(given) do
  local shared = {
    token = run[1], ats = run[2], processed_on = run[3], atm = run[4], fields = run[5],
    kind = run[6], policy = run[7], b = run[8], c = run[9],
  }
  local jobs = run[10]
  for i = 1, #jobs, 2 do
    local key = prefix .. jobs[i]
    count = count + 1
    ids[count], values[count], verdicts[count] = jobs[i], jobs[i + 1], shared
    job_keys[count], lock_keys[count] = key, key .. ':lock'
  end
end
local policies = cmsgpack.unpack(ARGV[3])
local locks, settled = {}, {}
local is_any_stalled = call('EXISTS', KEYS[5]) == 1
local unstalled = {}                        -- ids to take out of `stalled`, in one command
local doomed, doomed_count = {}, 0          -- keys to delete, in one command
local locks_left = {}                       -- the same, when all else is written
local kept = {}                             -- policy index -> 'completed'/'failed' -> what flush() has to write
local upstream_only = {}                    -- the same shape: these finishes may not be plain
local last_finish_was_plain = false

local function doom(key)
  doomed_count = doomed_count + 1
  doomed[doomed_count] = key
end

local function read_locks()
  in_blocks(ids, 1000, function(from, to)
    local found = call('MGET', unpack(lock_keys, from, to))
    for i = from, to do locks[i] = found[i - from + 1] end
  end)
end

--- @include "carefully"
--- @include "exchange_active"
--- @include "exchange_retention"
--- @include "exchange_settle"

-- A job whose key became something else cannot be ended; left in `active` it would break the stalled checks.
local function take_out_if_unreadable(i)
  local kind = call('TYPE', job_keys[i]).ok
  if kind == 'hash' or kind == 'none' then return end
  flush()
  call('LREM', active, -1, ids[i])
  call('SREM', KEYS[5], ids[i])
  call('DEL', lock_keys[i])
end

local last_run                              -- the policy and state that the last kept finish was under
local function begins_new_run(verdict)
  if verdict.kind ~= 'c' and verdict.kind ~= 'f' then return false end
  if policies[verdict.policy][1] == 0 then return false end
  local run = verdict.policy .. verdict.kind
  local is_new = last_run ~= nil and last_run ~= run
  last_run = run
  return is_new
end

read_locks()
look_at_retention()
look_beside_jobs()
local all_are_written, any_has_failed, last_verdict = true, false, nil
for i = 1, count do
  local verdict = verdicts[i]
  if verdict ~= last_verdict then
    last_verdict = verdict
    if begins_new_run(verdict) then flush() end
  end
  local ok, status = pcall(settle, i)
  statuses[i] = ok and status or text_of(status)
  if status ~= 0 then all_are_written = false end
  if not ok then
    any_has_failed = true
    pcall(take_out_if_unreadable, i)
  end
end
flush()
announce_if_drained()
if metrics_size > 0 then
  --- @include "exchange_metrics"
end
if any_has_failed then                      -- a fault of the queue, not of its jobs: all is sent again
  local wrong = look_at_keys()
  if wrong then error({ err = wrong }, 0) end
end
if all_are_written then statuses = {} end
