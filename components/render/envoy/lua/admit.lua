-- The request: who calls, which model is asked for, whether the tenant may use it, and whether it has anything left.

local ENDPOINTS = {
  ['/v1/chat/completions'] = true, ['/v1/completions'] = true, ['/v1/embeddings'] = true, ['/v1/responses'] = true,
}
local STREAMS_USAGE = { ['/v1/chat/completions'] = true, ['/v1/completions'] = true }
local LONGEST_NAME = 128
local WANTED = { model = true, stream = true, stream_options = true }
local OPTIONS = { include_usage = true }
local MUCH = 2 ^ 15 -- KiB of memory, most of which is then what bodies have left behind
local LONGEST_KEY = 512 -- bytes; longer ones are nobody's, and cost no hash
-- Of what is remembered of a request: for the logs, for its attempts, for its answer.
local NAMESPACE, ATTEMPT, ANSWER = 'corral', 'corral.attempt', 'corral.answer'

local function tidy()
  if collectgarbage('count') > MUCH then collectgarbage() end
end

local function refuse(handle, status, code, message, kind, more)
  local headers = { [':status'] = tostring(status), ['content-type'] = 'application/json' }
  for name, value in pairs(more or {}) do headers[name] = value end
  handle:respond(headers, '{"error":{"message":' .. quoted(message) .. ',"type":"' .. (kind or 'invalid_request_error')
    .. '","code":"' .. code .. '","param":null}}')
end

local function bearer(headers)
  local sent = headers:get('authorization')
  if sent then return match(sent, '^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$') end
  return headers:get('api-key') or headers:get('x-api-key')
end

local known, known_under = {}, nil

-- The tenant a key belongs to.  Hashes of keys that are good are remembered until the callers change.
local function tenant_of(key, context)
  local version = context:get('version')
  if version ~= known_under then known, known_under = {}, version end
  if #key > LONGEST_KEY then return nil end
  local hash = known[key]
  if not hash then
    hash = sha256(key)
    if context:get('key:' .. hash) then known[key] = hash end
  end
  return context:get('key:' .. hash)
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
local function vouched(handle, context)
  local verified = handle:streamInfo():dynamicMetadata():get('envoy.filters.http.jwt_authn')
  if not verified then return nil, nil end
  local claims = verified.token
  if claims then
    local issuer = tostring(claims.iss)
    local value = named_claim(claims, context:get('claim:' .. issuer) or '')
    for _, each in ipairs(type(value) == 'table' and value or { value }) do
      local tenant = context:get('vouched:' .. issuer .. ' ' .. tostring(each))
      if tenant then return tenant end
    end
    return nil, 'The token is good, but speaks for no tenant of this gateway.', true
  end
  return nil, verified.failed and ('The token is not taken: ' .. tostring(verified.failed.message) .. '.')
end

-- The name of who calls; nil, once it was refused.
local function caller(handle, context)
  local key = bearer(handle:headers())
  local tenant = key and tenant_of(key, context)
  if tenant then return tenant end
  local why, good
  tenant, why, good = vouched(handle, context)
  if tenant then return tenant end
  local is_token = good or key and select(2, gsub(key, '%.', '')) == 2 -- a good one was taken out of the headers
  if not (key or good) then
    why = 'No key: send it as Authorization: Bearer <key>.'
  elseif not (is_token and why) then
    why = 'This key is not known here: it was mistyped or withdrawn.'
  end
  refuse(handle, 401, 'invalid_api_key', why, 'authentication_error', { ['www-authenticate'] = 'Bearer' })
  return nil
end

-- Whether the tenant has something left of every limit of a minute; the buckets it draws on.
local function within(handle, tenant, said, model, now)
  local found = buckets(handle:stats(), tenant, said.rate, model, said.rates and said.rates[model] or {}, now)
  local empty -- of those that are, the one that takes longest
  for _, entry in ipairs(found) do
    if left(entry[2]) < 1 and (not empty or wait(entry[2]) > wait(empty[2])) then empty = entry end
  end
  if not empty then return found end
  local what, of, where = empty[1], empty[2], empty[3]
  local more = { ['retry-after'] = tostring(math.ceil(wait(of) / 1e6)) }
  for kind, least in pairs(tightest(found)) do tell(more, kind, least) end
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'limited', { limit = what, model = model })
  refuse(handle, 429, 'rate_limit_exceeded', 'Tenant ' .. tenant .. ' has used its ' .. of.limit .. ' ' .. what
    .. ' per minute' .. where .. '. Try again in ' .. seconds(wait(of)) .. '.', what, more)
  return nil
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

-- The body with the model in front, where each attempt puts the host's own name for it; likewise the options of the
-- stream where others are given.
local function in_order(text, found, model, options)
  local gone = { found.model, options and found.stream_options }
  table.sort(gone, function(one, other) return one[1] > other[1] end) -- the last first: where the others stand stays right
  for _, member in ipairs(gone) do text = without(text, member) end
  local rest = sub(text, find(text, '{', 1, true) + 1)
  return '{"model":"' .. model .. '"' .. (options and ',"stream_options":' .. options or '')
    .. (match(rest, '^%s*}') and '' or ',') .. rest
end

local function named(text, found)
  local model = text_of(text, found.model)
  if model and model ~= '' and #model <= LONGEST_NAME and not find(model, '[^%w._:/-]') then return model end
  return nil, model
end

-- How many requests are under way, of a tenant or of all.  What is counted here, the log of a request's end takes off.
local function active(handle, tenant)
  return handle:stats():counter(tenant and 'active.' .. tenant or 'active')
end

-- Whether there is room for so many more requests: in the gateway, for those of this tenant's priority, and of the
-- tenant's own.
local function room(handle, tenant, said, model, more)
  if said.total and active(handle):value() + more > said.total then
    refuse(handle, 503, 'overloaded', 'The gateway has as many requests under way as it may have. Try again.',
      'server_error', { ['retry-after'] = '1' })
    return false
  end
  if said.concurrent and active(handle, tenant):value() + more > said.concurrent then
    handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'limited', { limit = 'concurrent', model = model })
    refuse(handle, 429, 'rate_limit_exceeded', 'Tenant ' .. tenant .. ' has ' .. said.concurrent
      .. ' requests under way, the most it may have at once. Try again when one has ended.', 'requests',
      { ['retry-after'] = '1' })
    return false
  end
  return true
end

-- From here on the request is under way.
local function begin(handle, tenant, said)
  if not said.total and not said.concurrent then return end
  if said.total then active(handle):inc() end
  if said.concurrent then active(handle, tenant):inc() end
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, 'counted',
    { total = said.total and true, tenant = said.concurrent and true })
end

local function too_large(handle, tenant, said)
  refuse(handle, 413, 'request_too_large', 'The request body is larger than ' .. said.body .. ' bytes, the most tenant '
    .. tenant .. ' may send.')
end

local function ask(handle, tenant, said, path)
  if not match(lower(handle:headers():get('content-type') or ''), '^application/json') then
    return refuse(handle, 400, 'json_required', 'The request must be JSON: send Content-Type: application/json.')
  end
  local encoding = lower(handle:headers():get('content-encoding') or 'identity')
  if encoding ~= 'identity' then
    return refuse(handle, 415, 'encoding_not_taken', 'The request body is compressed (Content-Encoding), which is not '
      .. 'taken here: send it as it is.')
  end
  if said.body and tonumber(handle:headers():get('content-length') or 0) > said.body then
    return too_large(handle, tenant, said)
  end
  local body = handle:body(true)
  local headers, context = handle:headers(), handle:filterContext() -- what was had before waiting for the body is void
  local length = body and body:length() or 0
  local text = length > 0 and body:getBytes(0, length) or ''
  if said.body and length > said.body then return too_large(handle, tenant, said) end
  local found, wrong = members(text, WANTED)
  if not found then return refuse(handle, 400, 'invalid_json', 'The request body ' .. wrong .. '.') end
  local model, unusable = named(text, found)
  if not model and (unusable or '') == '' then
    return refuse(handle, 400, 'model_required', 'The request names no "model". GET /v1/models lists the models.')
  end
  if not model or not context:get('model:' .. model) then
    -- the table of routes answers, which knows what there is
    return headers:replace('x-corral-model', (gsub(sub(model or unusable, 1, LONGEST_NAME), '[^%w._:/-]', '?')))
  end
  local streams = found.stream and sub(text, found.stream[2], found.stream[3]) or 'null'
  if streams ~= 'true' and streams ~= 'false' and streams ~= 'null' then
    return refuse(handle, 400, 'invalid_value', 'The "stream" of the request is neither true nor false.')
  end
  local stream, options = streams == 'true', nil
  if stream and STREAMS_USAGE[path] then
    options, wrong = telling(text, found)
    if wrong then return refuse(handle, 400, 'invalid_value', 'The "stream_options" of the request ' .. wrong .. '.') end
  end
  local remember = handle:streamInfo():dynamicMetadata()
  remember:set(NAMESPACE, 'asked', { model = model, stream = stream })
  if said.models and not said.models[model] then
    return refuse(handle, 403, 'model_not_allowed', 'Tenant ' .. tenant .. ' may not use the model ' .. model
      .. '. GET /v1/models lists those it may use.', 'permission_error')
  end
  if not room(handle, tenant, said, model, 1) then return end
  local now = clock(handle)
  local drawn = tenant and within(handle, tenant, said, model, now)
  if tenant and not drawn then return end
  begin(handle, tenant, said)
  -- two workers may have seen the same last place free: rather than one too many, neither is let through
  if not room(handle, tenant, said, model, 0) then return end
  for _, entry in ipairs(drawn or {}) do
    if entry[1] == 'requests' then use(entry[2], 1, now) end
  end
  text = in_order(text, found, model, options)
  body:setBytes(text)
  local size = #text
  text = nil
  tidy()
  remember:set(ATTEMPT, 'asked', { model = model, endpoint = sub(headers:get(':path'), 4), length = size })
  remember:set(ANSWER, 'asked', { model = model, tenant = tenant or '', at = now / 1000, strip = options ~= nil })
  headers:replace('x-corral-model', said.lane and model .. ' ' .. said.lane or model)
end

function envoy_on_request(handle)
  tidy()
  local headers, context = handle:headers(), handle:filterContext()
  local path = match(headers:get(':path') or '', '^[^?]*')
  local remember = handle:streamInfo():dynamicMetadata()
  remember:set(NAMESPACE, 'path', sub(path, 1, 128))
  local tenant, said
  if context:get('open') then
    said = { total = context:get('total') }
  else
    tenant = caller(handle, context)
    if not tenant then return end
    remember:set(NAMESPACE, 'tenant', tenant)
    headers:replace('x-corral-tenant', tenant)
    said = context:get('tenant:' .. tenant)
  end
  if ENDPOINTS[path] and headers:get(':method') == 'POST' then ask(handle, tenant, said, path) end
  handle:clearRouteCache()
end
