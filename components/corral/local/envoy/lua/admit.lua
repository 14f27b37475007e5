-- The request: who calls, which model is asked for, whether the tenant may use it, and whether it has anything left.

local ENDPOINTS = {
  ['/v1/chat/completions'] = true, ['/v1/completions'] = true, ['/v1/embeddings'] = true, ['/v1/responses'] = true,
  ['/v1/messages'] = true, ['/v1/rerank'] = true,
}
local STREAMS_USAGE = { ['/v1/chat/completions'] = true, ['/v1/completions'] = true }
local LONGEST_NAME = 128
local WANTED = {}
for name in string.gmatch('model stream stream_options messages input tools tool_choice response_format text n logprobs '
  .. 'top_logprobs seed presence_penalty frequency_penalty max_tokens max_completion_tokens max_output_tokens '
  .. 'previous_response_id output_config', '%S+') do
  WANTED[name] = true
end
local OPTIONS = { include_usage = true }
local NONE = {}
local AS_HEADERS = { __index = { replace = rawset } }
local LONGEST_KEY = 512 -- bytes; longer ones are nobody's, and cost no hash
local NAMESPACE = 'corral'
local JSON = { [':status'] = '200', ['content-type'] = 'application/json' }

-- What is known of a request stands in its metadata: for the logs, for its attempts and for its answer.
--
--   tenant, path, model, stream
--   counted_of_all, counted_of_tenant    it is counted among those under way
--   endpoint, length, strip, at          it was let through: the path within the API, the length of its body, whether
--                                        its usage is to be taken out of the answer, and when (ms)
--   named_from, named_to                 bytes of the body before the model's name, and as far as its end
--   variant                              the model's, as the routes have it
--   added                                bytes behind that name in which a stream is asked for its usage, if they are ours
--
-- An attempt notes there its `host`, that it `refused` those bytes, and until when (ms) hosts are `throttled`.
local function remember(handle, known)
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'asked', known)
end

local function refuse(handle, known, status, code, message, kind, more, parameter)
  remember(handle, known)
  local headers = { [':status'] = tostring(status), ['content-type'] = 'application/json' }
  for name, value in pairs(more or {}) do headers[name] = value end
  local shape = known.path == '/v1/messages' and '{"type":"error","error":{"message":' or '{"error":{"message":'
  handle:respond(headers, shape .. quoted(message) .. ',"type":"' .. (kind or 'invalid_request_error')
    .. '","code":"' .. code .. '","param":' .. (parameter and quoted(parameter) or 'null') .. '}}')
end

local function bearer(headers)
  local sent = headers:get('authorization')
  if sent then return match(sent, '^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$') end
  return headers:get('api-key') or headers:get('x-api-key')
end

-- The tenant a key belongs to.
local function tenant_of(handle, of, key)
  if #key > LONGEST_KEY then return nil end
  local tenant = of.keys and of.keys[key]
  if tenant then return tenant end
  tenant = entry(handle, of, 'key:' .. sha256(key))
  if tenant then
    of.keys = of.keys or {}
    of.keys[key] = tenant
  end
  return tenant
end

-- A claim; of one within others the names have dots between them.
local function named_claim(claims, name)
  if claims[name] ~= nil then return claims[name] end
  for part in string.gmatch(name, '[^.]+') do
    if type(claims) ~= 'table' then return nil end
    claims = claims[part]
  end
  return claims
end

-- The tenant that a verified token speaks for; else nil, why not, and whether the token is a good one.
local function vouched(handle, of)
  local verified = handle:streamInfo():dynamicMetadata():get('envoy.filters.http.jwt_authn')
  if not verified then return nil, nil end
  local claims = verified.token
  if claims then
    local issuer = tostring(claims.iss)
    local value = named_claim(claims, entry(handle, of, 'claim:' .. issuer) or '')
    for _, each in ipairs(type(value) == 'table' and value or { value }) do
      local tenant = entry(handle, of, 'vouched:' .. issuer .. ' ' .. tostring(each))
      if tenant then return tenant end
    end
    return nil, 'The token is good, but speaks for no tenant of this gateway.', true
  end
  return nil, verified.failed and ('The token is not taken: ' .. tostring(verified.failed.message) .. '.')
end

-- The name of who calls; nil, once it was refused.
local function caller(handle, headers, of, known)
  local key = bearer(headers)
  local tenant = key and tenant_of(handle, of, key)
  if tenant then return tenant end
  local why, good
  tenant, why, good = vouched(handle, of)
  if tenant then return tenant end
  local is_token = good or key and select(2, gsub(key, '%.', '')) == 2 -- a good one was taken out of the headers
  if not (key or good) then
    why = 'No key: send it as Authorization: Bearer <key>.'
  elseif not (is_token and why) then
    why = 'This key is not known here: it was mistyped or withdrawn.'
  end
  refuse(handle, known, 401, 'invalid_api_key', why, 'authentication_error', { ['www-authenticate'] = 'Bearer' })
  return nil
end

-- The tenant's buckets for a model.
local function drawn_on(handle, of, tenant, said, model)
  local model_rate = said.rates and said.rates[model]
  local name = model_rate and 'buckets:' .. tenant .. ' ' .. model or 'buckets:' .. tenant
  local found = of[name]
  if not found then
    found = buckets(handle:stats(), tenant, said.rate, model, model_rate or {})
    of[name] = found
  end
  return found
end

-- Whether the tenant has something left in every bucket.
local function within(handle, known, found, now)
  local empty -- of those that are, the one that takes longest
  for _, of in ipairs(found) do
    look(of, now)
    if left(of) < 1 and (not empty or wait(of) > wait(empty)) then empty = of end
  end
  if not empty then return true end
  local more = setmetatable({}, AS_HEADERS)
  tell(found, more)
  more['retry-after'] = tostring(math.ceil(wait(empty) / 1e6))
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'limited', { limit = empty.what, model = known.model })
  refuse(handle, known, 429, 'rate_limit_exceeded', 'Tenant ' .. known.tenant .. ' has used its ' .. empty.limit .. ' '
    .. empty.what .. ' per minute' .. empty.where .. '. Try again in ' .. seconds(wait(empty)) .. '.', empty.what, more)
  return false
end

-- The stream_options that make a stream tell its usage; nil where the client's own do, or else what is wrong with them.
local function telling(text, found)
  local member = found.stream_options
  local said = member and sub(text, member[2], member[3]) or 'null'
  if said == 'null' then return '{"include_usage":true}' end
  local options, wrong = members(said, OPTIONS)
  if not options then return nil, wrong end
  local asked = options.include_usage
  if asked and sub(said, asked[2], asked[3]) == 'true' then return nil end
  if asked then said = without(said, asked) end
  return '{"include_usage":true' .. (match(said, '^{%s*}') and '' or ',') .. sub(said, 2)
end

-- The body with these options of the stream, and by how much that moves the model.
local function with_options(text, found, options)
  local before = found.stream_options
  if not before then
    local stop = found.model[3]
    return sub(text, 1, stop) .. ',"stream_options":' .. options .. sub(text, stop + 1), 0
  end
  local moved = before[1] < found.model[1] and #options - (before[3] - before[2] + 1) or 0
  return sub(text, 1, before[2] - 1) .. options .. sub(text, before[3] + 1), moved
end

local function named(text, found)
  local model = text_of(text, found.model)
  if model and model ~= '' and #model <= LONGEST_NAME and not find(model, '[^%w._:/-]') then return model end
  return nil, model
end

-- How many requests are under way, of a tenant or of all.  What is counted here, the log of a request's end takes off.
local function active(handle, of, tenant)
  local name = tenant and 'active.' .. tenant or 'active'
  local counter = of[name]
  if not counter then
    counter = handle:stats():counter(name)
    of[name] = counter
  end
  return counter
end

-- Whether there is room for so many more requests: in the gateway, for those of this tenant's priority, and of the
-- tenant's own.
local function room(handle, known, of, said, more)
  if said.total and active(handle, of):value() + more > said.total then
    refuse(handle, known, 503, 'overloaded', 'The gateway has as many requests under way as it may have. Try again.',
      'server_error', { ['retry-after'] = '1' })
    return false
  end
  if said.concurrent and active(handle, of, known.tenant):value() + more > said.concurrent then
    handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'limited', { limit = 'concurrent', model = known.model })
    refuse(handle, known, 429, 'rate_limit_exceeded', 'Tenant ' .. known.tenant .. ' has ' .. said.concurrent
      .. ' requests under way, the most it may have at once. Try again when one has ended.', 'requests',
      { ['retry-after'] = '1' })
    return false
  end
  return true
end

-- From here on the request is under way.
local function begin(handle, known, of, said)
  if said.total then
    active(handle, of):inc()
    known.counted_of_all = true
  end
  if said.concurrent then
    active(handle, of, known.tenant):inc()
    known.counted_of_tenant = true
  end
end

local function too_large(handle, known, said)
  refuse(handle, known, 413, 'request_too_large', 'The request body is larger than ' .. said.body
    .. ' bytes, the most tenant ' .. known.tenant .. ' may send.')
end

local function unsupported(handle, known, needs)
  local whats = {}
  for at, need in ipairs(needs) do whats[at] = need.what end
  refuse(handle, known, 400, 'unsupported_parameter', 'No host of ' .. known.model .. ' takes '
    .. (#whats > 1 and 'all of this together: ' or 'this: ') .. table.concat(whats, ', ') .. '.', nil, nil, needs[1].parameter)
end

-- The table of routes answers, and has to be told who calls where its answer is not the same for all.
local function answered_by_routes(headers, known)
  headers:replace('x-corral-read', '1')
  if known.tenant then headers:replace('x-corral-tenant', known.tenant) end
end

-- One model of the list, by its path; a slash in its name may be escaped.
local function one_model(handle, headers, known, of, said, escaped)
  local method = headers:get(':method')
  if method ~= 'GET' and method ~= 'HEAD' then
    return refuse(handle, known, 405, 'method_not_allowed', 'Use GET, HEAD here.', nil, { allow = 'GET, HEAD' })
  end
  local name = gsub(escaped, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
  if not entry(handle, of, 'model:' .. name) or said.models and not said.models[name] then
    return refuse(handle, known, 404, 'model_not_found', 'The model ' .. (gsub(sub(name, 1, LONGEST_NAME),
      '[^%w._:/-]', '?')) .. ' does not exist here. GET /v1/models lists the models.')
  end
  remember(handle, known)
  handle:respond(JSON, '{"id":' .. quoted(name) .. ',"object":"model","created":0,"owned_by":"corral"}')
end

-- Lets a request for a model through to it, or answers why not.
local function ask(handle, headers, known, of, said)
  if not match(lower(headers:get('content-type') or ''), '^application/json') then
    return refuse(handle, known, 400, 'json_required', 'The request must be JSON: send Content-Type: application/json.')
  end
  local encoding = headers:get('content-encoding')
  if encoding and lower(encoding) ~= 'identity' then
    return refuse(handle, known, 415, 'encoding_not_taken', 'The request body is compressed (Content-Encoding), which '
      .. 'is not taken here: send it as it is.')
  end
  if said.body and tonumber(headers:get('content-length') or 0) > said.body then
    return too_large(handle, known, said)
  end
  remember(handle, known) -- the body may never come
  local endpoint = sub(headers:get(':path'), 4)
  local body = handle:body(true)
  headers = handle:headers() -- what was had before waiting for the body is void
  local length = body and body:length() or 0
  local text = length > 0 and body:getBytes(0, length) or ''
  if said.body and length > said.body then return too_large(handle, known, said) end
  local members_found, wrong = members(text, WANTED)
  if not members_found then
    return refuse(handle, known, 400, 'invalid_json', 'The request body ' .. wrong .. '.')
  end
  local model, unusable = named(text, members_found)
  if not model and (unusable or '') == '' then
    return refuse(handle, known, 400, 'model_required',
      'The request names no "model". GET /v1/models lists the models.')
  end
  local hosts = model and entry(handle, of, 'model:' .. model)
  if not hosts then
    answered_by_routes(headers, known)
    return headers:replace('x-corral-model', (gsub(sub(model or unusable, 1, LONGEST_NAME), '[^%w._:/-]', '?')))
  end
  local streams = members_found.stream and sub(text, members_found.stream[2], members_found.stream[3]) or 'null'
  if streams ~= 'true' and streams ~= 'false' and streams ~= 'null' then
    return refuse(handle, known, 400, 'invalid_value', 'The "stream" of the request is neither true nor false.')
  end
  local stream, options = streams == 'true', nil
  if stream and STREAMS_USAGE[known.path] then
    options, wrong = telling(text, members_found)
    if wrong then
      return refuse(handle, known, 400, 'invalid_value', 'The "stream_options" of the request ' .. wrong .. '.')
    end
  end
  known.model, known.stream = model, stream
  if said.models and not said.models[model] then
    return refuse(handle, known, 403, 'model_not_allowed', 'Tenant ' .. known.tenant .. ' may not use the model '
      .. model .. '. GET /v1/models lists those it may use.', 'permission_error')
  end
  local continued = known.path == '/v1/responses' and members_found.previous_response_id
  if continued and sub(text, continued[2], continued[3]) ~= 'null' and not entry(handle, of, 'one host:' .. model) then
    return refuse(handle, known, 400, 'unsupported_parameter', 'An earlier response is kept by the host that gave it, and '
      .. 'several hosts share ' .. model .. ': send the whole conversation as input.', nil, nil, 'previous_response_id')
  end
  local api = OTHER_APIS[known.path]
  if api and not (hosts ~= true and hosts.apis and hosts.apis[api]) then
    return unsupported(handle, known, { { what = known.path } })
  end
  local out, sent = 0, text
  if hosts ~= true then
    out, sent = left_out(text, members_found, known.path, stream, hosts, hosts.every[said.lane or ''])
    if not out then return unsupported(handle, known, sent) end
  end
  if not room(handle, known, of, said, 1) then return end
  local now = clock(handle)
  local found = known.tenant and drawn_on(handle, of, known.tenant, said, model) or NONE
  if not within(handle, known, found, now) then return end
  begin(handle, known, of, said)
  -- two workers may have seen the same last place free: rather than one too many, neither is let through
  if not room(handle, known, of, said, 0) then return end
  for _, each in ipairs(found) do
    if each.what == 'requests' then use(each, 1, now) end
  end
  local moved, changed = 0, sent ~= text
  text = sent
  if options then
    known.added = not members_found.stream_options and #text or nil
    text, moved = with_options(text, members_found, options)
    known.added = known.added and #text - known.added
  end
  if options or changed then body:setBytes(text) end
  if said.lane then model = model .. ' ' .. said.lane end
  known.variant = out == 0 and model or model .. ' -' .. out
  known.endpoint, known.length, known.strip, known.at = endpoint, #text, options ~= nil, now / 1000
  known.named_from, known.named_to = members_found.model[2] - 1 + moved, members_found.model[3] + moved
  text, sent = nil, nil
  tidy()
  remember(handle, known)
  headers:replace('x-corral-model', known.variant)
  without_throttled(handle, known.variant, now / 1000)
end

function envoy_on_request(handle)
  tidy()
  local headers, of = handle:headers(), told(handle)
  local path = match(headers:get(':path') or '', '^[^?]*')
  local known, said = { path = sub(path, 1, 128) }, entry(handle, of, 'open')
  if path == '/health' then
    remember(handle, known)
    return handle:respond(JSON, '{"status":"ok"}')
  end
  if not said then
    known.tenant = caller(handle, headers, of, known)
    if not known.tenant then return end
    said = entry(handle, of, 'tenant:' .. known.tenant)
  end
  if ENDPOINTS[path] and headers:get(':method') == 'POST' then
    ask(handle, headers, known, of, said)
  elseif match(path, '^/v1/models/.') then
    return one_model(handle, headers, known, of, said, sub(path, 12))
  else
    remember(handle, known)
    answered_by_routes(headers, known)
  end
  handle:clearRouteCache()
end
