-- What a tenant may use.  The levels are gauges of Envoy's statistics, which all workers share.
--
-- A bucket holds what a tenant may use in a minute and fills steadily.  Its gauge has the time, in microseconds, at
-- which it is full again: in the past when it is full, a minute ahead when it is empty, further when more was used than
-- was left.  Tokens are known only after the answer; what it used up beyond the bucket is paid back before the next one.

local floor, max = math.floor, math.max

local MINUTE = 60e6

local function clock(handle)
  return handle:timestamp() * 1000
end

-- A bucket of requests or tokens a minute, as it is once it was looked at.
local function bucket(stats, what, of, limit, where)
  return {
    gauge = stats:gauge(what .. '.' .. of), what = what, limit = limit, where = where, now = 0, full = 0,
    names = { 'x-ratelimit-limit-' .. what, 'x-ratelimit-remaining-' .. what, 'x-ratelimit-reset-' .. what },
    told = tostring(limit),
  }
end

local function look(of, now)
  of.now, of.full = now, max(of.gauge:value(), now)
end

local function left(of)
  return max(0, floor((of.now + MINUTE - of.full) * of.limit / MINUTE + 1e-6))
end

-- Draws an amount; a negative one is given back.
local function use(of, amount, now)
  if of.gauge:value() < now then of.gauge:set(now) end
  local span = floor(amount * MINUTE / of.limit + 0.5)
  if span >= 0 then of.gauge:add(span) else of.gauge:sub(-span) end
end

-- Microseconds until one more can be used.
local function wait(of)
  return max(0, of.full - of.now + MINUTE / of.limit - MINUTE) -- times first: fractions of them are not exact
end

local function seconds(microseconds)
  return string.format('%.3fs', microseconds / 1e6)
end

-- The buckets of a tenant's requests for a model: of each kind its own, then its own for this model.
local function buckets(stats, tenant, rate, model, model_rate)
  local found = {}
  for _, what in ipairs({ 'requests', 'tokens' }) do
    if rate[what] then found[#found + 1] = bucket(stats, what, tenant, rate[what], '') end
    if model_rate[what] then
      local of = tenant .. '.' .. gsub(model, ':', '_')
      found[#found + 1] = bucket(stats, what, of, model_rate[what], ' for ' .. model)
    end
  end
  return found
end

-- The headers that tell a client what is left: of two buckets of a kind, of the one with less.
local function tell(found, headers)
  for at, of in ipairs(found) do
    local before = found[at - 1]
    if not before or before.what ~= of.what or left(of) < left(before) then
      headers:replace(of.names[1], of.told)
      headers:replace(of.names[2], tostring(left(of)))
      headers:replace(of.names[3], seconds(of.full - of.now))
    end
  end
end
