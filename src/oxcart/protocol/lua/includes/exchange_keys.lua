-- Is a key of the queue not what it should be? It is asked when a command has failed: to look at all of them each time would
-- cost every exchange. A job whose id is the name of such a key, as Node lets one add, has its hash there: it is kept aside.
-- With an id: what is to be said of it, if it is such a name. Without: the error that a key of a wrong type gives, or nil.
local function look_at_keys(asked_id)
  local function set_aside(id)
    local key, aside = prefix .. id, 'oxcart:misnamed:' .. id
    local facts = pcall_redis('HMGET', key, 'name', 'timestamp')
    if facts[1] and facts[2] then pcall_redis('RENAME', key, prefix .. aside) end
    return 'its id is the name of a key of the queue; what it had is in ' .. aside
  end

  local wrong
  local types = { 'list', 'list', 'zset', 'stream', 'set', 'string', 'zset', 'list', 'hash', 'string', 'zset', 'zset',
    'zset', 'zset' }
  for at, expected in ipairs(types) do
    local name = string.sub(KEYS[at], #prefix + 1)
    if name == asked_id then return set_aside(name) end
    local found = not asked_id and pcall_redis('TYPE', KEYS[at]).ok
    if found and found ~= 'none' and found ~= expected then
      wrong = string.format('WRONGTYPE %s is a %s and should be a %s', KEYS[at], found, expected)
      if found == 'hash' then set_aside(name) end
    end
  end
  if asked_id == 'id' or asked_id == 'repeat' or asked_id == 'stalled-check' then return set_aside(asked_id) end
  return wrong
end
