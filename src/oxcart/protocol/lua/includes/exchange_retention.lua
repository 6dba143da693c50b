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

-- Answers who must go for them: {set, id …}
local function keep_run(policy, kind, run)
  local target, members = kind == 'c' and KEYS[12] or KEYS[13], run.members
  in_blocks(members, 1000, function(from, to) call('ZADD', target, unpack(members, from, to)) end)
  local victims, is_gone = { target }, {}
  local function add(ids_of_victims)
    for _, id in ipairs(ids_of_victims) do
      local job = prefix .. id
      if not is_gone[job] then
        victims[#victims + 1], is_gone[job] = id, true
        doom(job)
        for _, suffix in ipairs(BESIDE_A_JOB) do doom(job .. suffix) end
      end
    end
  end
  local first_over = policy[1]
  if policy[2] > 0 then
    local oldest_kept = now - policy[2] * 1000
    local aged = call('ZREVRANGEBYSCORE', target, oldest_kept, '-inf', 'LIMIT', 0, policy[3] * #members / 2)
    add(aged)
    if aged[1] and call('ZREVRANK', target, aged[1]) <= first_over then first_over = first_over + #aged end
  end
  if policy[1] > 0 then add(call('ZREVRANGE', target, first_over, -1)) end
  for _, write in ipairs(run.writes) do     -- where more end at once than are kept, most need not be written
    if not is_gone[write[1]] then write_kept(write, kind) end
  end
  return victims
end

-- Everything that was put off until the end of a run, written before somebody else looks at it: first what stays of the
-- jobs, then they leave. Wherever that ends, the locks are still ours: the same verdicts once more write the rest.
local function flush()
  local all_victims = {}
  for index, by_kind in pairs(kept) do
    for kind, run in pairs(by_kind) do all_victims[#all_victims + 1] = keep_run(policies[index], kind, run) end
  end
  in_blocks(doomed, 1000, function(from, to) call('DEL', unpack(doomed, from, to)) end)
  for _, victims in ipairs(all_victims) do
    local target = table.remove(victims, 1)
    in_blocks(victims, 1000, function(from, to) call('ZREM', target, unpack(victims, from, to)) end)
  end
  flush_active()
  in_blocks(unstalled, 1000, function(from, to) call('SREM', KEYS[5], unpack(unstalled, from, to)) end)
  in_blocks(locks_left, 1000, function(from, to) call('DEL', unpack(locks_left, from, to)) end)
  unstalled, doomed, doomed_count, locks_left, kept = {}, {}, 0, {}, {}
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
