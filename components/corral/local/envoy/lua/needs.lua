-- What a request needs of its host, for a model of whose hosts not all take the same (`variants.needs_entry`).  Sets of
-- hosts are bits of a number.

local bor = bit.bor

local TOKENS = { 'max_tokens', 'max_completion_tokens', 'max_output_tokens' }
local OTHER_APIS = { ['/v1/messages'] = 'messages', ['/v1/rerank'] = 'rerank' } -- than OpenAI's
local OWN_PATHS = setmetatable({
  ['/v1/completions'] = 'completions', ['/v1/responses'] = 'responses', ['/v1/embeddings'] = 'embeddings',
}, { __index = OTHER_APIS })
local FORMAT = { ['/v1/responses'] = 'text', ['/v1/messages'] = 'output_config' }

local function value_of(text, member)
  return member and sub(text, member[2], member[3]) or 'null'
end

local function above(text, member, least)
  local value = member and tonumber(value_of(text, member))
  return value and value > least
end

local function is_another_number(text, member)
  local value = member and tonumber(value_of(text, member))
  return value and value ~= 0
end

-- Whether a member has one of these keys within it, which the pattern follows.  Quotes within a string are escaped.
local function has(text, member, keys, pattern)
  for _, key in ipairs(keys) do
    local _, at = find(text, key, member and member[2] or #text + 1, true)
    while at and at < member[3] do
      if find(text, pattern, at + 1) then return true end
      _, at = find(text, key, at + 1, true)
    end
  end
  return false
end

-- The needs that some host does not take: which hosts, what it is called, and the parameter that asks for it.
local function needs_of(text, found, path, stream, lacks)
  local needs = {}
  local function need(name, parameter)
    local lacked = lacks[name]
    if lacked then needs[#needs + 1] = { hosts = lacked.hosts, what = lacked.what, parameter = parameter } end
  end
  if OWN_PATHS[path] then need(OWN_PATHS[path]) end
  if stream then need('streaming', 'stream') end
  if found.tools and find(text, '^%[%s*[^%]%s]', found.tools[2]) then
    need('tools', 'tools')
    if stream then need('toolsWhileStreaming', 'tools') end
    local choice = value_of(text, found.tool_choice)
    local free = choice == 'null' or choice == '"auto"' or choice == '"none"'
    if path == '/v1/messages' then
      free = not find(choice, '"type"%s*:%s*"any"') and not find(choice, '"type"%s*:%s*"tool"')
    end
    if not free then need('toolChoice', 'tool_choice') end
  end
  local format = FORMAT[path] or 'response_format'
  local kind = found[format] and match(value_of(text, found[format]), '"type"%s*:%s*"json_(%a+)"')
  if kind == 'object' then need('jsonMode', format) elseif kind == 'schema' then need('jsonSchema', format) end
  if above(text, found.n, 1) then need('choices', 'n') end
  local logprobs = value_of(text, found.logprobs)
  if logprobs == 'true' or tonumber(logprobs) or above(text, found.top_logprobs, 0) then need('logprobs', 'logprobs') end
  if value_of(text, found.seed) ~= 'null' then need('seed', 'seed') end
  for _, name in ipairs({ 'presence_penalty', 'frequency_penalty' }) do
    if is_another_number(text, found[name]) then need('penalties', name) end
  end
  if lacks.vision or lacks.imageUrls then
    local said = path == '/v1/responses' and 'input' or 'messages'
    if has(text, found[said], { '"image_url"', '"input_image"' }, '')
      or path == '/v1/messages' and has(text, found[said], { '"type"' }, '^%s*:%s*"image"') then
      need('vision', said)
      if has(text, found[said], { '"url"', '"image_url"' }, '^%s*:%s*"[hH][tT][tT][pP]') then need('imageUrls', said) end
    end
  end
  return needs
end

-- The text with no limit of an answer above this one, no longer and no shorter than it was.
local function cut(text, found, limit)
  local least = tostring(limit)
  for _, name in ipairs(TOKENS) do
    local member = found[name]
    local room = member and member[3] - member[2] + 1
    if above(text, member, limit) and #least <= room then
      text = sub(text, 1, member[2] - 1) .. least .. string.rep(' ', room - #least) .. sub(text, member[3] + 1)
    end
  end
  return text
end

-- The hosts that a request cannot go to, none of them left out where it needs nothing, and its text, which changes where
-- no host answers at such length.  Else nil, and what it needs that none of all these hosts takes.
local function left_out(text, found, path, stream, model, every)
  local out, needs = 0, needs_of(text, found, path, stream, model.lacks)
  for _, need in ipairs(needs) do out = bor(out, band(need.hosts, every)) end
  if out == every and out ~= 0 then
    for _, need in ipairs(needs) do
      if band(need.hosts, every) == every then return nil, { need } end
    end
    return nil, needs
  end
  local tokens = 0
  for _, name in ipairs(TOKENS) do
    if above(text, found[name], tokens) then tokens = tonumber(value_of(text, found[name])) end
  end
  for _, output in ipairs(model.outputs) do
    if tokens <= output[1] then break end
    local more = bor(out, band(output[2], every))
    if more == every then
      text = cut(text, found, output[1])
      break
    end
    out = more
  end
  return out, text
end
