-- One attempt at a host: its path, its Host header and its own name for the model.  Attempts of one request share their
-- headers, so that each overwrites what the one before has written; the body each has as it came.

function envoy_on_request(handle)
  local headers = handle:headers()
  local authority, prefix, id = string.match(headers:get('x-corral-to'), '^(%S*) (%S*) (.*)$')
  local asked = handle:streamInfo():dynamicMetadata():get('corral').asked
  headers:remove('x-corral-to')
  headers:remove('x-corral-link')
  headers:replace(':path', prefix .. asked.endpoint)
  headers:replace(':authority', authority)
  if id == '"' .. asked.model .. '"' then
    -- an attempt before may have told the length of a longer body
    return headers:replace('content-length', string.format('%d', asked.length))
  end
  local body = handle:body()
  local from, to = asked.named_from, asked.named_to
  body:setBytes(body:getBytes(0, from) .. id .. body:getBytes(to, body:length() - to))
  tidy()
end
