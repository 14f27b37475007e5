-- One attempt at a host: its path, its Host header and its own name for the model; and whether its answer is one.
-- Attempts of one request share their headers, so that each overwrites what the one before has written; the body each
-- has as it came.

local find, lower, match, floor = string.find, string.lower, string.match, math.floor

local NAMESPACE = 'corral'
local LONGEST_REST = 3600 -- seconds; a host that asks for more is tried again by then
local MUCH_SPACE = 64 -- bytes at either end of an answer that are searched for its first and last sign

function envoy_on_request(handle)
  local headers = handle:headers()
  local authority, prefix, id = match(headers:get('x-corral-to'), '^(%S*) (%S*) (.*)$')
  local metadata = handle:streamInfo():dynamicMetadata()
  local known = metadata:get(NAMESPACE)
  local asked = known.asked
  metadata:set(NAMESPACE, 'host', match(headers:get('x-corral-link'), '^host/(.*)@'))
  headers:remove('x-corral-to')
  headers:remove('x-corral-link')
  headers:replace(':path', prefix .. asked.endpoint)
  headers:replace(':authority', authority)
  local without = known.refused and asked.added or 0
  if without == 0 and id == '"' .. asked.model .. '"' then
    -- an attempt before may have told the length of a longer body
    return headers:replace('content-length', string.format('%d', asked.length))
  end
  local body = handle:body()
  local from, to = asked.named_from, asked.named_to
  body:setBytes(body:getBytes(0, from) .. id .. body:getBytes(to + without, body:length() - to - without))
  tidy()
end

-- A host that refuses a stream in which it is asked for its usage may take it without: that was the gateway's own wish.
local function refuses_usage(handle, headers)
  local metadata = handle:streamInfo():dynamicMetadata()
  local known = metadata:get(NAMESPACE)
  if known.refused or not known.asked.added then return end
  metadata:set(NAMESPACE, 'refused', true)
  headers:replace('x-corral-unsupported', 'stream_options')
end

-- Seconds since 1970 of an HTTP date, which is in GMT; days are counted from March on, as leap days then come last.
local function seconds_of(date)
  local day, name, year, hour, minute, second = match(date, '^%a+, (%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT$')
  local at = name and find('MarAprMayJunJulAugSepOctNovDecJanFeb', name, 1, true)
  if not at then return nil end
  local month = (at - 1) / 3
  year = tonumber(year) - (month > 9 and 1 or 0)
  local days = 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + floor((153 * month + 2) / 5) + day
  return (days - 719469) * 86400 + hour * 3600 + minute * 60 + second
end

-- A host of several that says for how long it takes no more is left out until then.
local function is_throttled(handle, headers)
  local said, now = headers:get('retry-after') or '', handle:timestamp() / 1000
  local till = match(said, '^%d+$') and now + tonumber(said) or seconds_of(said)
  if not till or till <= now then return end
  local metadata = handle:streamInfo():dynamicMetadata()
  local known = metadata:get(NAMESPACE)
  local hosts = known.throttled or {}
  hosts[known.host] = 1000 * math.min(till, now + LONGEST_REST)
  metadata:set(NAMESPACE, 'throttled', hosts)
end

local function fail(handle, body, message)
  local headers = handle:headers()
  headers:replace(':status', '502')
  headers:replace('content-type', 'application/json')
  if body then
    body:setBytes('{"error":{"message":"' .. message .. '","type":"server_error","code":"bad_answer","param":null}}')
  end
end

-- An answer that is not streamed waits until it is whole: where it breaks off, or is none, another host answers.
function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(':status')
  if status == '400' or status == '422' then return refuses_usage(handle, headers) end
  if status == '429' then return is_throttled(handle, headers) end
  if status ~= '200' then return end
  local kind = lower(headers:get('content-type') or 'json')
  if match(kind, '^text/event%-stream') then return end
  local body = handle:body()
  local length = body and body:length() or 0
  local ends = math.min(length, MUCH_SPACE)
  local start = body and body:getBytes(0, ends) or ''
  if not find(kind, 'json', 1, true) or not match(start, '^%s*{')
    or not match(body:getBytes(length - ends, ends), '}%s*$') then
    return fail(handle, body, 'The answer of the host is not the JSON it should be.')
  end
  if match(start, '^%s*{%s*"error"%s*:%s*[{"]') or match(start, '^%s*{%s*"type"%s*:%s*"error"') then
    headers = handle:headers() -- what was had before waiting for the body is void
    headers:replace(':status', '502')
  end
end
