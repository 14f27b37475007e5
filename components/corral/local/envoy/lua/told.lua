-- What the gateway is told of callers and models.  It is a long table, of which an entry is turned into Lua's own each
-- time it is looked at; so what was found is kept, until another version of the table comes.

local kept, version = {}, nil

-- What was found so far in the table that holds for a request.
local function told(handle)
  local now = handle:filterContext():get('version')
  if now ~= version then kept, version = {}, now end
  return kept
end

-- An entry.  That there is none is not kept: clients may ask for anything.
local function entry(handle, of, name)
  local value = of[name]
  if value == nil then
    value = handle:filterContext():get(name)
    of[name] = value
  end
  return value
end
