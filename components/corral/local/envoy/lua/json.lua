-- Finds the members of a request's JSON object that the gateway needs, without building the object: what the gateway
-- does not change passes byte for byte.  A key that stands twice, is written with escapes, or differs from one of ours
-- in its case alone is refused: a host might read another one than we do.

local byte, find, gsub, lower, match, sub = string.byte, string.find, string.gsub, string.lower, string.match, string.sub
local min = math.min

local DEEPEST = 200      -- arrays and objects within each other
local MOST_MEMBERS = 1000 -- of the request's object itself
local LONGEST_TEXT = 2048 -- bytes that are read of a string
local MOST_PARTS = 1e6    -- strings and brackets within its members; beyond them a worker would be busy too long

local function string_end(text, start)
  local from = start + 1
  while true do
    local quote = find(text, '"', from, true)
    if not quote then return nil end
    local before = quote - 1
    while byte(text, before) == 92 do before = before - 1 end
    if (quote - before) % 2 == 1 then return quote end
    from = quote + 1
  end
end

-- Where the array or object ends, and how many parts were seen by then.
local function nested_end(text, start, seen)
  local depth, at = 1, start + 1
  while true do
    at = find(text, '["%[%]{}]', at)
    seen = seen + 1
    if not at or seen > MOST_PARTS then return nil end
    local char = byte(text, at)
    if char == 34 then
      at = string_end(text, at)
      if not at then return nil end
    else
      depth = (char == 123 or char == 91) and depth + 1 or depth - 1
      if depth == 0 then return at, seen end
      if depth > DEEPEST then return nil end
    end
    at = at + 1
  end
end

local function value_end(text, start, seen)
  local char = byte(text, start)
  if char == 34 then return string_end(text, start), seen end
  if char == 123 or char == 91 then return nested_end(text, start, seen) end
  local behind = match(text, '^[%w.+-]+()', start)
  return behind and behind - 1, seen
end

-- By name, where the wanted members of the object stand: {key start, value start, value end}.
-- Else nil and what is wrong with the text.
local function members(text, wanted)
  local at = find(text, '%S')
  if not at or byte(text, at) ~= 123 then return nil, 'is not a JSON object' end
  local found = {}
  at = find(text, '%S', at + 1)
  if not at then return nil, 'ends within the object' end
  if byte(text, at) == 125 then
    if find(text, '%S', at + 1) then return nil, 'goes on after the object' end
    return found
  end
  local seen = 0
  for _ = 1, MOST_MEMBERS do
    if byte(text, at) ~= 34 then return nil, 'is not valid JSON' end
    local key_end = string_end(text, at)
    if not key_end then return nil, 'ends within a key' end
    local key = sub(text, at + 1, key_end - 1)
    if find(key, '\\', 1, true) then return nil, 'has a key that is written with escapes' end
    local value = match(text, '^%s*:%s*()', key_end + 1)
    local stop
    if value then stop, seen = value_end(text, value, seen) end
    if not stop then return nil, 'is not valid JSON, or nested too deeply, or in too many parts' end
    local name = lower(key)
    if wanted[name] then
      if name ~= key then return nil, 'has the key ' .. key .. ': write it ' .. name end
      if found[key] then return nil, 'has the key ' .. key .. ' twice' end
      found[key] = { at, value, stop }
    end
    local after = find(text, '%S', stop + 1)
    local char = after and byte(text, after)
    if char == 125 then
      if find(text, '%S', after + 1) then return nil, 'goes on after the object' end
      return found
    end
    if char ~= 44 then return nil, 'is not valid JSON' end
    at = find(text, '%S', after + 1)
    if not at then return nil, 'ends within the object' end
  end
  return nil, 'has more than ' .. MOST_MEMBERS .. ' keys'
end

-- Escapes of printable characters; others stay as they are, since no name that we know has one.
local function unescaped(char, code)
  if char == '/' or char == '"' or char == '\\' then return char .. code end
  return char == 'u' and match(code, '^00[2-7]') and string.char(tonumber(code, 16))
end

-- The value of a member that is a string, the beginning of it if it is long; nil for anything else.
local function text_of(text, member)
  if not member or byte(text, member[2]) ~= 34 then return nil end
  local raw = sub(text, member[2] + 1, min(member[3] - 1, member[2] + LONGEST_TEXT))
  return (gsub(raw, '\\(.)(%x?%x?%x?%x?)', unescaped))
end

-- The text without a member and the comma beside it.
local function without(text, member)
  local head, behind = sub(text, 1, member[1] - 1), match(text, '^%s*,%s*()', member[3] + 1)
  if behind then return head .. sub(text, behind) end
  return (match(head, '^(.*),%s*$') or head) .. sub(text, member[3] + 1)
end

local ESCAPED = { ['"'] = '\\"', ['\\'] = '\\\\' }

local function quoted(text)
  return '"' .. gsub(gsub(text, '["\\]', ESCAPED), '[%c\127-\255]', '?') .. '"'
end
