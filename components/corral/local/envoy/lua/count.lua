-- The answer: what it used, and what is left.  Nothing of it is kept but the end of what came last.

local KEPT = 4096 -- bytes of a piece that may hold the beginning of what the next one ends
local LONGEST_EVENT = 2 ^ 16 -- bytes; a longer one is not held back until it is whole: it only tells what the usage is
local MOST_TOKENS = 1e8 -- of one request; a host that says more is wrong

local function number(text, name)
  local said = tonumber(match(text, '"' .. name .. '"%s*:%s*(%d+)'))
  return said and math.min(said, MOST_TOKENS)
end

-- Tokens of prompt and answer from the last `usage` in the text; nil where there is none.  The quotes make sure that it
-- is a key: within a string they would be escaped.
local function usage(text)
  local at, from = nil, 1
  while true do
    local _, stop = find(text, '"usage"', from, true)
    if not stop then break end
    at = match(text, '^%s*:%s*(){', stop + 1) or at
    from = stop + 1
  end
  if not at then return nil end
  local said = sub(text, at, at + KEPT)
  local input = number(said, 'prompt_tokens') or number(said, 'input_tokens')
  local output = number(said, 'completion_tokens') or number(said, 'output_tokens')
  if not input and not output then return nil end
  return input or 0, output or 0
end

local function only_usage(event)
  return usage(event) and find(event, '"choices"%s*:%s*%[%s*%]')
end

-- Where an event ends: with an empty line.
local function event_end(text, from)
  while true do
    local at = find(text, '\n', from, true)
    if not at then return nil end
    local behind = match(text, '^\r?\n()', at + 1)
    if behind then return behind - 1 end
    from = at + 1
  end
end

-- The events of a piece that are whole, without the one that tells the usage, and what is left over.
local function whole_events(text)
  local out, from = {}, 1
  while true do
    local stop = event_end(text, from)
    if not stop then break end
    local event = sub(text, from, stop)
    if not only_usage(event) then out[#out + 1] = event end
    from = stop + 1
  end
  return table.concat(out), sub(text, from)
end

-- What says something: the first event of a stream only names the speaker, and the last why it ends.  The quotes make
-- sure that it is a key, as above.
local SAYING = { 'content"', '"text"', '"delta"', '"arguments"' }

-- How many pieces of the answer are in the whole events of the text, and what is left over.
local function pieces(text)
  local rest, found = match(text, '^.*\n\r?\n()') or 1, 0
  local whole = sub(text, 1, rest - 1)
  for _, saying in ipairs(SAYING) do
    local _, at = find(whole, saying, 1, true)
    while at do
      if find(whole, '^%s*:%s*"[^"]', at + 1) then found = found + 1 end
      _, at = find(whole, saying, at + 1, true)
    end
  end
  return found, #text - rest < LONGEST_EVENT and sub(text, rest) or ''
end

local function draw(found, amount, now)
  for _, of in ipairs(found) do
    if of.what == 'tokens' then use(of, amount, now) end
  end
end

function envoy_on_response(handle)
  local known = handle:streamInfo():dynamicMetadata():get(NAMESPACE)
  local asked = known and known.asked
  if not (asked and asked.at) then return end -- it was not let through
  local headers, found = handle:headers(), NONE
  if asked.tenant then
    local name = 'tenant:' .. asked.tenant
    local of = kept[name] and kept or told(handle)
    local said = entry(handle, of, name)
    if said then
      found = drawn_on(handle, of, asked.tenant, said, asked.model)
      local now = clock(handle)
      for _, each in ipairs(found) do look(each, now) end
      tell(found, headers)
    end
  end
  local status = headers:get(':status')
  -- a redirect that is left is a host's failure: its URL is wrong, and a client that followed would show its key elsewhere
  if match(status, '^30[12378]$') then headers:replace(':status', '502') end
  if status ~= '200' then return end
  local is_stream = match(headers:get('content-type') or '', '^text/event%-stream') ~= nil
  local strip, charged, counted, tail, unfinished, first, told_by_host = asked.strip and is_stream, 0, 0, '', '', nil, false
  if strip then headers:remove('content-length') end
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local at = clock(handle)
      first = first or at / 1000 - asked.at
      local text = chunk:getBytes(0, length)
      local seen = tail == '' and text or tail .. text
      local input, output = usage(seen)
      if strip then
        local pass
        pass, tail = whole_events(seen)
        if #tail > LONGEST_EVENT then pass, tail = pass .. sub(tail, 1, -KEPT - 1), sub(tail, -KEPT) end
        chunk:setBytes(pass)
      else
        tail = sub(seen, -KEPT)
      end
      if is_stream and not input and not told_by_host then
        local more
        more, unfinished = pieces(unfinished .. text)
        counted = counted + more
        input, output = nil, counted
      end
      if output then
        told_by_host = told_by_host or input ~= nil
        local amount = (input or 0) + output
        draw(found, amount - charged, at)
        charged = amount
        -- what was had before waiting for the piece is void
        handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'answer', { input_tokens = input,
          input_counted = input or 0, output_tokens = output, estimated = not told_by_host, first_byte = first })
      end
    elseif strip and not only_usage(tail) then
      chunk:setBytes(tail) -- the end of the answer: an event that the host has not ended
    end
  end
end
