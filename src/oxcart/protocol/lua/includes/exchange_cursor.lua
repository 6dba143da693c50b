-- What did the exchanges before learn of foreign jobs? See exchange_names.lua. A cursor for other names says nothing, and
-- one older than an hour neither: should a job of ours ever lie among foreign ones, it is found then at the latest.
local PASS = { 'all', 'before', 'at', 'skip', 'goes_on', 'id', 'score', 'stamp', 'event' }
local function new_pass()
  return { all = 0, before = 0, at = 0, skip = 0, goes_on = false, id = '', score = 0, stamp = '', event = '' }
end

local function sign_of_names()
  return string.sub(redis.sha1hex(ARGV[4]), 1, 8)
end

local function read_cursor()
  if ARGV[5] ~= '' then
    local ok, read = pcall(cmsgpack.unpack, ARGV[5])
    if ok and type(read) == 'table' and read[1] == sign_of_names() and now - read[2] < 3600000 then
      local pass = new_pass()
      for i, field in ipairs(PASS) do pass[field] = read[4][i] end
      return { since = read[2], wait = read[3], prioritized = pass }
    end
  end
  return { since = now, wait = {}, prioritized = new_pass() }
end

local function newest_event()
  local newest = call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  if newest then return newest[1] end
  local facts = pcall_redis('XINFO', 'STREAM', events) -- all were trimmed, or there never was one
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then return facts[i + 1] end
  end
  return '0-0'
end

write_cursor = function()
  local pass = known.prioritized
  if known.is_spoilt or (#known.wait == 0 and pass.id == '') then
    cursor = ''
    return
  end
  last_event = newest_event()
  if known.begins_pass then pass.event = last_event end
  local facts = {}                          -- in one order: who has learned nothing new has the same cursor
  for i, field in ipairs(PASS) do facts[i] = pass[field] end
  cursor = cmsgpack.pack({ sign_of_names(), known.since, known.wait, facts })
  last_event = tonumber(meta[5]) == 0 and '' or known.listens_from or last_event
end
