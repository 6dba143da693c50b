-- How does a script of BullMQ run inside ours so that no command that errs, and no end in the middle, loses a job? It takes
-- a job out of where it is before it puts it where it goes, and a script is not rolled back. Here what it puts is put at
-- once, and taken back if something errs; what it would take waits, and is answered as if it had been taken. Then, in this
-- order: new hashes (a job is in its list before it can be found: an add that was cut off is not taken for a job), events,
-- keys and scores that point to them, and what was to be taken, a job's place before its lock. Wherever that ends, the same
-- call once more completes it, but for an id that may be in its list twice: claims pass over the second one.
--
-- `given` (or nil)  at_once   a key whose removals do no harm: no need to wait
--                   last      a sorted set whose scores say that all the rest was done: they are changed last
--                   attempts  {key, number}: what `atm` of that job is to be, however often this is tried
--                   let_go    {command, its opposite}: to be put with the others if something is taken
-- Answers what the script answers, and the id of the job that it found to exist already, if it did. Raises its error.
local function carefully(upstream, keys, args, given)
  given = given or {}
  local call, try = redis.call, redis.pcall
  local undo, last, events, pointers, later, counts = {}, {}, {}, {}, {}, {}
  local taken, fewer, gone, made = {}, {}, {}, {}
  local duplicate

  local function is_taken(key, member)
    return taken[key] and taken[key][member]
  end

  local function take(rank, key, member, ...)
    taken[key] = taken[key] or {}
    taken[key][member] = { rank, ... }
    fewer[key] = (fewer[key] or 0) + 1
    later[#later + 1] = taken[key][member]
  end

  -- Put back before it was taken.
  local function keep(key, member)
    taken[key][member][1] = 0
    taken[key][member] = nil
    fewer[key] = fewer[key] - 1
  end

  local function exists(key)
    if made[key] then return 1 end
    return gone[key] and 0 or call('EXISTS', key)
  end

  -- The first of a sorted set that has not been taken, as the script asks for it.
  local function first_left(key, ...)
    local found = call(...)
    for at = 1, #found, 2 do
      if not is_taken(key, found[at]) then return { found[at], found[at + 1] } end
    end
    return {}
  end

  local answers = {}

  function answers.EXISTS(key) return exists(key) end
  function answers.LLEN(key) return call('LLEN', key) - (fewer[key] or 0) end
  function answers.SCARD(key) return call('SCARD', key) - (fewer[key] or 0) end
  function answers.ZCARD(key) return call('ZCARD', key) - (fewer[key] or 0) end
  function answers.ZSCORE(key, member) return not is_taken(key, member) and call('ZSCORE', key, member) end
  function answers.ZRANGE(key, from, to, ...)
    if not fewer[key] then return call('ZRANGE', key, from, to, ...) end
    return first_left(key, 'ZRANGE', key, 0, fewer[key], ...)
  end
  function answers.ZREVRANGE(key, from, to)
    if not fewer[key] then return call('ZREVRANGE', key, from, to) end
    local left, rank = {}, 0
    for _, member in ipairs(call('ZREVRANGE', key, 0, to)) do
      if not is_taken(key, member) then
        if rank >= tonumber(from) then left[#left + 1] = member end
        rank = rank + 1
      end
    end
    return left
  end
  function answers.ZREVRANGEBYSCORE(key, highest, lowest, ...)
    if not fewer[key] then return call('ZREVRANGEBYSCORE', key, highest, lowest, ...) end
    return first_left(key, 'ZREVRANGEBYSCORE', key, highest, lowest, 'WITHSCORES', 'LIMIT', 0, fewer[key] + 1)
  end

  function answers.LREM(key, count, id)
    if is_taken(key, id) or not call('LPOS', key, id) then return 0 end
    take(4, key, id, 'LREM', key, count, id)
    return 1
  end
  function answers.LSET(key, index)         -- theirs write over what they remove, and remove that in the end
    local id = call('LINDEX', key, index)
    take(4, key, id, 'LREM', key, 1, id)
  end
  function answers.SREM(key, member)
    if key == given.at_once then return call('SREM', key, member) end
    if is_taken(key, member) or call('SISMEMBER', key, member) == 0 then return 0 end
    take(2, key, member, 'SREM', key, member)
    return 1
  end
  function answers.ZREM(key, ...)
    local count = 0
    for _, member in ipairs({ ... }) do
      if not is_taken(key, member) and call('ZSCORE', key, member) then
        -- A finished job goes hash first: an id without a hash is taken out with the next ones.
        local is_finished = string.find(key, ':completed$') or string.find(key, ':failed$')
        take(is_finished and 5 or 1, key, member, 'ZREM', key, member)
        count = count + 1
      end
    end
    return count
  end
  function answers.ZREMRANGEBYSCORE(...)
    later[#later + 1] = { 5, 'ZREMRANGEBYSCORE', ... }
    return 0
  end
  function answers.ZREMRANGEBYRANK(...)
    later[#later + 1] = { 5, 'ZREMRANGEBYRANK', ... }
    return 0
  end
  function answers.HDEL(key, ...)
    local count = 0
    for _, field in ipairs({ ... }) do count = count + call('HEXISTS', key, field) end
    later[#later + 1] = { 2, 'HDEL', key, ... }
    return count
  end
  function answers.DEL(...)
    for _, key in ipairs({ ... }) do
      if key == given.at_once then
        call('DEL', key)
      elseif exists(key) == 1 then
        gone[key], made[key] = { string.find(key, ':lock$') and 6 or 3, 'DEL', key }, nil
        later[#later + 1] = gone[key]
      end
    end
    return 1
  end

  -- Whatever was there before is replaced: what the new one has not got goes later.
  local function replace(key, ...)
    local fields, stale = { ... }, { 2, 'HDEL', key }
    gone[key][1], gone[key], made[key] = 0, nil, true
    local is_new = {}
    for at = 1, #fields, 2 do is_new[fields[at]] = true end
    for _, field in ipairs(call('HKEYS', key)) do
      if not is_new[field] then stale[#stale + 1] = field end
    end
    if #stale > 3 then later[#later + 1] = stale end
    last[#last + 1] = { { 'HSET', key, ... } }
    return 0
  end
  function answers.HSET(key, ...)
    if gone[key] then return replace(key, ...) end
    if exists(key) == 1 then return call('HSET', key, ...) end
    made[key] = true
    last[#last + 1] = { { 'HSET', key, ... }, { 'DEL', key } }
    return 0
  end
  answers.HMSET = answers.HSET
  function answers.HINCRBY(key, field, by)
    local attempts = given.attempts
    if attempts and key == attempts[1] and field == 'atm' then
      call('HSET', key, 'atm', attempts[2])
      return attempts[2]
    end
    counts[#counts + 1] = { 'HINCRBY', key, field, by }
    return (tonumber(call('HGET', key, field)) or 0) + by
  end
  function answers.SET(key, value, ...)
    local is_there = exists(key) == 1
    for _, option in ipairs({ ... }) do
      if option == 'NX' and is_there then return false end
    end
    if gone[key] then gone[key][1], gone[key] = 0, nil end
    local before = is_there and call('GET', key)
    pointers[#pointers + 1] = { { 'SET', key, value, ... }, before and { 'SET', key, before, 'KEEPTTL' } or { 'DEL', key } }
    made[key] = true
    return { ok = 'OK' }
  end
  function answers.SADD(key, ...)
    local added = call('SADD', key, ...)
    if key ~= given.at_once and added > 0 then undo[#undo + 1] = { 'SREM', key, ... } end
    return added
  end
  function answers.ZADD(key, score, member)
    local before = call('ZSCORE', key, member)
    if is_taken(key, member) then keep(key, member) end
    local back = before and { 'ZADD', key, before, member } or { 'ZREM', key, member }
    if key == given.last and before then
      pointers[#pointers + 1] = { { 'ZADD', key, score, member }, back }
      return 0
    end
    local added = call('ZADD', key, score, member)
    undo[#undo + 1] = back
    return added
  end
  local function push(command, count, key, id)
    local length = call(command, key, id)
    if is_taken(key, id) then taken[key][id][4] = -count end -- the other one is the old one
    undo[#undo + 1] = { 'LREM', key, count, id }
    return length
  end
  function answers.LPUSH(key, id) return push('LPUSH', 1, key, id) end
  function answers.RPUSH(key, id) return push('RPUSH', -1, key, id) end
  function answers.XADD(...)
    local event = { ... }
    for at = 1, #event - 1 do
      if event[at] == 'duplicated' then duplicate = event[#event] end
    end
    events[#events + 1] = event
    return '0-0'
  end

  local function run_all()
    local answer = upstream(keys, args, {
      call = function(command, ...)
        local own = answers[command]
        if own then return own(...) end
        return call(command, ...)
      end,
      pcall = try,                          -- which theirs use to read
    })
    if given.let_go and #later > 0 then last[#last + 1] = given.let_go end
    local function put_all(puts)
      for _, put in ipairs(puts) do
        call(unpack(put[1]))
        undo[#undo + 1] = put[2]
      end
    end
    put_all(last)
    for _, event in ipairs(events) do
      undo[#undo + 1] = { 'XDEL', event[1], call('XADD', unpack(event)) }
    end
    put_all(pointers)                       -- what says that the rest is there
    return answer
  end

  local ok, answer = pcall(run_all)
  local is_first = true
  for rank = 1, ok and 6 or 0 do
    for _, command in ipairs(later) do
      if ok and command[1] == rank then
        local failure
        ok, failure = pcall(call, unpack(command, 2))
        if ok then is_first = false else answer = failure end
      end
    end
  end
  if not ok then
    for at = is_first and #undo or 0, 1, -1 do try(unpack(undo[at])) end
    error(answer, 0)
  end
  for _, count in ipairs(counts) do try(unpack(count)) end -- how often something happened is no reason to undo it
  return answer, duplicate
end
