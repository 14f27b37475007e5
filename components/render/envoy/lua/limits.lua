-- What a tenant may use.  The levels are gauges of Envoy's statistics, which all workers share.
--
-- A bucket holds what a tenant may use in a minute and fills steadily.  Its gauge has the time, in microseconds, at
-- which it is full again: in the past when it is full, a minute ahead when it is empty, further when more was used than
-- was left.  Tokens are known only after the answer; what it used up beyond the bucket is paid back before the next one.

local floor, max = math.floor, math.max

local MINUTE = 60e6

local function clock(handle)
  return tonumber(handle:timestamp()) * 1000
end

-- The bucket's name, limit (of a minute) and time at which it is full, as they are now.
local function bucket(stats, name, limit, now)
  local gauge = stats:gauge(name)
  return { gauge = gauge, limit = limit, now = now, full = max(gauge:value(), now) }
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

-- The headers that tell a client what is left.
local function tell(headers, what, of)
  headers['x-ratelimit-limit-' .. what] = tostring(of.limit)
  headers['x-ratelimit-remaining-' .. what] = tostring(left(of))
  headers['x-ratelimit-reset-' .. what] = seconds(of.full - of.now)
end

-- The buckets of a request: the tenant's, and the tenant's for this model.
local function buckets(stats, tenant, rate, model, model_rate, now)
  local found = {}
  for _, what in ipairs({ 'requests', 'tokens' }) do
    if rate[what] then found[#found + 1] = { what, bucket(stats, what .. '.' .. tenant, rate[what], now), '' } end
    if model_rate[what] then
      local name = what .. '.' .. tenant .. '.' .. gsub(model, ':', '_')
      found[#found + 1] = { what, bucket(stats, name, model_rate[what], now), ' for ' .. model }
    end
  end
  return found
end

-- Of several buckets of one kind the one with the least left.
local function tightest(found)
  local least = {}
  for _, entry in ipairs(found) do
    local what, of = entry[1], entry[2]
    if not least[what] or left(of) < left(least[what]) then least[what] = of end
  end
  return least
end
