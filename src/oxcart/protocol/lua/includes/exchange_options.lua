-- Which options do jobs share that differ in their own id and trace only? `opts` with "" for the values of jobId and tm, for
-- them to travel as one run. As it is if in doubt: only a member of the object itself counts, no escapes but \" and \/ in
-- the value, and none before it. The text stays as valid, and as invalid, as it was: a quote behind { or , with a name, a
-- quote and : after it begins that name, or nothing here is JSON.

-- The text without the value that `pattern` finds, `skipped` behind its begin, and where that was; nil if in doubt.
local function without(opts, pattern, skipped)
  local from, to = string.find(opts, pattern)
  if not from or string.find(opts, '[^\\]"', from + skipped) ~= to - 1 then return nil end
  local begin = from + skipped
  local escape = string.find(opts, '\\[^"/]', begin)
  if escape and escape < to then return nil end
  local nested = string.find(opts, '[{%[\\]', 2)
  if nested and nested <= from then
    local before = string.sub(opts, 2, from)
    if string.find(before, '\\', 1, true) then return nil end
    local brackets = string.gsub(before, '"[^"]*"', '')
    if string.find(string.gsub(brackets, '%b{}', ''), '[][{}]') then return nil end
  end
  return string.sub(opts, 1, begin - 1) .. string.sub(opts, to), begin, to - begin
end

local last_opts, last_shared                -- equal texts are one string in Lua, and cost a comparison
local left, left_of_id, right, right_of_id  -- of the last ones: what stands left and right of a trace, if there was one
local has_trace = false

local function split(opts, id)
  local rest, trace_at = without(opts, '[{,]"tm":"{[ -~]-}"', 7)
  has_trace = rest ~= nil
  rest = rest or opts
  local shared, id_at, size = without(rest, '[{,]"jobId":"[ !#-[%]^-~]*"', 10)
  left = nil
  if not shared then return rest end
  if string.sub(rest, id_at, id_at + size - 1) == id then
    trace_at = trace_at or #rest + 1
    local behind = id_at + size
    if id_at < trace_at then
      left, left_of_id = string.sub(rest, behind, trace_at - 1), string.sub(rest, 1, id_at - 1)
      right, right_of_id = string.sub(rest, trace_at), nil
    else
      left, left_of_id = string.sub(rest, 1, trace_at - 1), nil
      right, right_of_id = string.sub(rest, behind), string.sub(rest, trace_at, id_at - 1)
    end
  end
  return shared
end

-- Options that are the last ones but for the id, which is the job's, and the trace, which is plain: a third of the time.
local function is_like_last(opts, id)
  if not left or string.find(id, '[^ !#-[%]^-~]') then return false end
  local before = left_of_id and left_of_id .. id .. left or left
  local behind = right_of_id and right_of_id .. id .. right or right
  local from, to = #before + 1, #opts - #behind
  if string.sub(opts, 1, from - 1) ~= before or string.sub(opts, to + 1) ~= behind then return false end
  if not has_trace then return to == from - 1 end
  local _, ends_at = string.find(opts, '^{\\"%a+\\":\\"[%x-]+\\"}', from)
  return ends_at == to
end

local function shared_options(opts, id)
  if opts ~= last_opts then
    if not is_like_last(opts, id) then last_shared = split(opts, id) end
    last_opts = opts
  end
  return last_shared
end
