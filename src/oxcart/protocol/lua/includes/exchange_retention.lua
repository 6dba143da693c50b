-- Which finished jobs must go? Deletes and trims are put off to the end of a run of equal policy, and done at once.
-- What a job may have beside its hash and its lock.
local BESIDE_A_JOB = { ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful' }

-- What stays of a finished job: `write` is {job, attempts made, returnvalue or failedReason, its value, stacktrace or ''}.
local function write_kept(write, kind)
  call('HSET', write[1], 'atm', write[2], write[3], write[4], 'finishedOn', now_text)
  if kind == 'f' then
    if write[5] ~= '' then call('HSET', write[1], 'stacktrace', write[5]) end
    call('HDEL', write[1], 'defa')
  end
end

local function keep_run(policy, kind, run)
  local target, members = kind == 'c' and KEYS[12] or KEYS[13], run.members
  in_blocks(members, 1000, function(from, to) call('ZADD', target, unpack(members, from, to)) end)
  local victims = {}
  if policy[2] > 0 then
    local oldest = now - policy[2] * 1000
    local limit = policy[3] * #members / 2
    local aged = call('ZREVRANGEBYSCORE', target, oldest, '-inf', 'LIMIT', 0, limit)
    for _, id in ipairs(aged) do victims[#victims + 1] = id end
    in_blocks(aged, 1000, function(from, to) call('ZREM', target, unpack(aged, from, to)) end)
  end
  if policy[1] > 0 then
    local over = call('ZREVRANGE', target, policy[1], -1)
    for _, id in ipairs(over) do victims[#victims + 1] = id end
    in_blocks(over, 1000, function(from, to) call('ZREM', target, unpack(over, from, to)) end)
  end
  local gone, is_gone = {}, {}
  for _, id in ipairs(victims) do
    local job = prefix .. id
    gone[#gone + 1], is_gone[job] = job, true
    for _, suffix in ipairs(BESIDE_A_JOB) do gone[#gone + 1] = job .. suffix end
  end
  in_blocks(gone, 1000, function(from, to) call('DEL', unpack(gone, from, to)) end)
  for _, write in ipairs(run.writes) do     -- where more end at once than are kept, most need not be written
    if not is_gone[write[1]] then write_kept(write, kind) end
  end
end

-- Everything that was put off until the end of a run, written before somebody else looks at it.
local function flush()
  flush_active()
  in_blocks(unstalled, 1000, function(from, to) call('SREM', KEYS[5], unpack(unstalled, from, to)) end)
  in_blocks(doomed, 1000, function(from, to) call('DEL', unpack(doomed, from, to)) end)
  unstalled, doomed, doomed_count = {}, {}, 0
  for index, by_kind in pairs(kept) do
    for kind, run in pairs(by_kind) do keep_run(policies[index], kind, run) end
  end
  kept = {}
end

-- Would keeping `more` jobs under this policy push out one that has a parent, or more than we like to look at?
local function victims_need_upstream(policy, target, more)
  local function has_parent(ids)
    if #ids > 1000 then return true end
    for _, id in ipairs(ids) do
      local parent = pcall_redis('HGET', prefix .. id, 'parentKey')
      if type(parent) == 'table' or (parent and parent ~= '') then return true end
    end
    return false
  end
  if policy[2] >= 0 then
    if policy[2] == 0 or policy[2] ~= math.floor(policy[2]) or policy[3] < 1 then return true end
    local oldest = now - policy[2] * 1000
    local ids = call('ZREVRANGEBYSCORE', target, oldest, '-inf', 'LIMIT', 0, math.min(policy[3] * more, 1001))
    if has_parent(ids) then return true end
  end
  if policy[1] > 0 then
    if policy[1] ~= math.floor(policy[1]) then return true end
    local over = call('ZCARD', target) + more - policy[1]
    if over > 0 and has_parent(call('ZRANGE', target, 0, over - 1)) then return true end
  end
  return false
end

local function look_at_retention()
  local counts = {}
  for i = 1, count do
    local index, kind = verdicts[i].policy, verdicts[i].kind
    if (kind == 'c' or kind == 'f') and policies[index][1] ~= 0 then
      counts[index] = counts[index] or {}
      counts[index][kind] = (counts[index][kind] or 0) + 1
    end
  end
  local crowded = {}
  for index, by_state in pairs(counts) do
    for state, more in pairs(by_state) do
      crowded[state] = (crowded[state] or 0) + more
      by_state[state] = more
    end
  end
  for index, by_state in pairs(counts) do
    upstream_only[index] = {}
    for state in pairs(by_state) do
      -- All finishes of this state count: those under another policy push out jobs under this one too.
      upstream_only[index][state] =
        victims_need_upstream(policies[index], state == 'c' and KEYS[12] or KEYS[13], crowded[state])
    end
  end
end
