-- The answer: what it used, what is left, whether it is one at all, and the model under the name that was asked for.
-- Of a stream nothing is kept but the event that has not ended.

local KEPT = 4096 -- bytes of an event that is not held back, which may hold the beginning of what comes next
local LONGEST_EVENT = 2 ^ 16 -- bytes; a longer one is not held back until it is whole
local MOST_TOKENS = 1e8 -- of one request; a host that says more is wrong

local function number(text, name)
  local said = find(text, name, 1, true) and tonumber(match(text, '"' .. name .. '"%s*:%s*(%d+)'))
  return said and min(said, MOST_TOKENS) or nil
end

-- Tokens of prompt and answer from the last `usage` in the text, and its own text; nil where there is none, or no such
-- number in it.  The quotes make sure that it is a key: within a string they would be escaped.
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
  if not input and not output then input = number(said, 'total_tokens') end -- of ranked documents
  if not input and not output then return nil end
  -- Anthropic's does not count what was cached among the others
  local read, written = number(said, 'cache_read_input_tokens'), number(said, 'cache_creation_input_tokens')
  if input and (read or written) then input = min(input + (read or 0) + (written or 0), MOST_TOKENS) end
  return input, output or 0, said
end

local function only_usage(event)
  return usage(event) and not find(event, '"choices"%s*:%s*%[%s*[^%]%s]')
end

-- Where the next event begins: behind an empty line.
local function event_end(text, from)
  while true do
    local at = find(text, '\n', from, true)
    if not at then return nil end
    local behind = match(text, '^\r?\n()', at + 1)
    if behind then return behind end
    from = at + 1
  end
end

-- The events without the one that tells the usage.
local function without_usage(events)
  local out, from = {}, 1
  while from <= #events do
    local behind = event_end(events, from) or #events + 1
    local event = sub(events, from, behind - 1)
    if not only_usage(event) then out[#out + 1] = event end
    from = behind
  end
  return table.concat(out)
end

-- What says something: the first event of a stream only names the speaker, and the last why it ends.  The quotes make
-- sure that it is a key, as above.
local SAYING = { 'content"', '"text"', '"delta"', '"arguments"', '"partial_json"', '"thinking"' }

-- How many pieces of the answer are in the events.
local function pieces(events)
  local found = 0
  for _, saying in ipairs(SAYING) do
    local _, at = find(events, saying, 1, true)
    while at do
      if find(events, '^%s*:%s*"[^"]', at + 1) then found = found + 1 end
      _, at = find(events, saying, at + 1, true)
    end
  end
  return found
end

-- Whether the host says in these events that it has failed: with an `error` that is not null, or as why it ends.
local OF_ERRORS = { finish_reason = true, object = true, type = true }

local function fails(events)
  local from, at = find(events, '"error"', 1, true)
  while at do
    if find(events, '^%s*:%s*[{"]', at + 1) then return true end
    local key = match(sub(events, max(1, from - 24), from - 1), '"([%a_]+)"%s*:%s*$')
    if key and OF_ERRORS[key] then return true end
    from, at = find(events, '"error"', at + 1, true)
  end
  return find(events, '"response.failed"', 1, true) ~= nil
end

-- Whether a stream is whole that ends with these events.
local function is_end(events, of_messages)
  if of_messages then return find(events, '"type"%s*:%s*"message_stop"') end
  return match(events, 'data:%s*%[DONE%]%s*$') or find(events, '"finish_reason"%s*:%s*"')
    or only_usage(match(events, '^.*\n\r?\n([^\r\n].*)$') or events)
    or find(events, '"response.completed"', 1, true) or find(events, '"response.incomplete"', 1, true)
end

-- How the host writes the model's name, key and all, and where.
local function spelled(text)
  local from, at = find(text, '"model"', 1, true)
  while at do
    local behind = match(text, '^%s*:%s*"[^"]*"()', at + 1)
    if behind then return sub(text, from, behind - 1), from, behind end
    from, at = find(text, '"model"', at + 1, true)
  end
end

local function respelled(spelling, model)
  return match(spelling, '^"model"%s*:%s*"') .. model .. '"'
end

-- The text with one spelling in place of another, wherever it stands.
local function renamed(text, spelling, ours)
  local out, behind = {}, 1
  local from, at = find(text, spelling, 1, true)
  while from do
    out[#out + 1], out[#out + 2] = sub(text, behind, from - 1), ours
    behind = at + 1
    from, at = find(text, spelling, behind, true)
  end
  return behind > 1 and table.concat(out) .. sub(text, behind) or text
end

local function draw(found, amount, now)
  for _, of in ipairs(found) do
    if of.what == 'tokens' then use(of, amount, now) end
  end
end

-- Anthropic's messages tell the prompt's tokens with their first event, and the answer's with the last but one, often
-- alone: those of the prompt, as they stand in these events or `before`; then those of the answer, once they are there.
local function messages_usage(events, before)
  local start, delta = find(events, 'message_start', 1, true), find(events, 'message_delta', 1, true)
  local input, output, said = before, nil, nil
  if start then input = usage(sub(events, start, event_end(events, start))) or before end
  if delta then
    local whole
    whole, output, said = usage(sub(events, delta))
    input = whole or input
  end
  return input, output, said
end

-- Notes what the answer has used, and draws it; `of` is kept from one piece of the answer to the next.
local function count(handle, of, input, output, said, now)
  local amount = (input or 0) + output
  draw(of.buckets, amount - of.drawn, now)
  of.drawn = amount
  local known = of.known
  known.input_tokens, known.input_counted, known.output_tokens, known.estimated = input, input or 0, output, not said
  if said then
    input = input or 0
    known.input_tokens = input
    local cached = number(said, 'cached_tokens') or number(said, 'cache_read_input_tokens')
    local reasoning = number(said, 'reasoning_tokens')
    if cached or reasoning then known.cached_tokens, known.reasoning_tokens = min(cached or 0, input), reasoning or 0 end
  end
end

-- What was had before waiting for a piece of the answer is void.
local function note(handle, of)
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'answer', of.known)
end

local function whole_answer(handle, asked, of)
  local body = handle:body()
  local length = body and body:length() or 0
  if length == 0 then return end
  local now, text = clock(handle), body:getBytes(0, length)
  of.known.first_byte = now / 1000 - asked.at
  local spelling, from, behind = spelled(text)
  if spelling then
    local ours = respelled(spelling, asked.model)
    if ours ~= spelling then body:setBytes(sub(text, 1, from - 1) .. ours .. sub(text, behind)) end
  end
  local input, output, said = usage(text)
  if said then
    count(handle, of, input, output, said, now)
    note(handle, of)
  end
end

local function stream(handle, asked, of)
  local tail, last, counted, by_host, spelling, ours, failed = '', '', 0, false, nil, nil, false
  local of_messages, prompt = asked.path == '/v1/messages', nil
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local now, text = clock(handle), length > 0 and chunk:getBytes(0, length) or ''
    of.known.first_byte = of.known.first_byte or now / 1000 - asked.at
    local seen = tail == '' and text or tail .. text
    local behind = length == 0 and #seen + 1 or match(seen, '^.*\n\r?\n()') or 1
    local events = sub(seen, 1, behind - 1)
    local passed = events
    tail = sub(seen, behind)
    if events ~= '' then
      last = events
      local input, output, said
      if of_messages then
        prompt, output, said = messages_usage(events, prompt)
        input = prompt
      else
        input, output, said = usage(events)
      end
      if said then
        by_host = true
        if asked.strip then passed = without_usage(events) end
      elseif not by_host then
        counted = counted + pieces(events)
        output = counted
      end
      if output then count(handle, of, input, output, said, now) end
      if not failed and fails(events) then
        failed = true
        of.known.failure = 'error'
      end
      if output or failed then note(handle, of) end
      if not spelling then
        spelling = spelled(events)
        ours = spelling and respelled(spelling, asked.model)
      end
    end
    if #tail > LONGEST_EVENT then passed, tail = passed .. sub(tail, 1, -KEPT - 1), sub(tail, -KEPT) end
    if spelling and ours ~= spelling then passed = renamed(passed, spelling, ours) end
    if passed ~= text then chunk:setBytes(passed) end
    if length == 0 and not failed and not is_end(last, of_messages) then
      of.known.failure = 'unfinished'
      note(handle, of)
    end
  end
end

function envoy_on_response(handle)
  local known = handle:streamInfo():dynamicMetadata():get(NAMESPACE)
  local asked = known and known.asked
  if not (asked and asked.at) then return end -- it was not let through
  if known.throttled then learn(asked.variant, known.throttled) end
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
  if status ~= '200' then
    -- a redirect that is left is a host's failure: its URL is wrong, and a client that followed would show its key elsewhere
    if match(status, '^30[12378]$') then headers:replace(':status', '502') end
    return
  end
  local of = { buckets = found, drawn = 0, known = { input_counted = 0, output_tokens = 0, estimated = true } }
  if match(headers:get('content-type') or '', '^text/event%-stream') then
    headers:remove('content-length')
    stream(handle, asked, of)
  else
    whole_answer(handle, asked, of)
  end
end
