-- A request or an answer as Envoy gives it to a script, and the statistics of all of them.
--
-- As in Envoy, what a handle gives is void once the script has waited, counters and gauges excepted; nothing runs after
-- `respond`; counters and gauges take nothing but whole numbers from zero on.  A gauge that would go below zero is an
-- error here: Envoy goes on from 2^64 downwards.

local values = {}

local function amount(number)
  if type(number) ~= 'number' or number < 0 or number >= 2 ^ 63 then error('not an amount: ' .. tostring(number), 3) end
  return math.floor(number)
end

local function statistic(name)
  return {
    value = function() return values[name] or 0 end,
    inc = function() values[name] = (values[name] or 0) + 1 end,
    set = function(_, to) values[name] = amount(to) end,
    add = function(_, by) values[name] = (values[name] or 0) + amount(by) end,
    sub = function(_, by)
      values[name] = (values[name] or 0) - amount(by)
      if values[name] < 0 then error(name .. ' is below zero', 2) end
    end,
  }
end

local stats = {
  gauge = function(_, name) return statistic(name) end,
  counter = function(_, name) return statistic(name) end,
}

-- `of` has headers, context, metadata, pieces (of the body), now (ms), pace (ms between the pieces); it gets `response`,
-- `passed` (the pieces as they went on) and `rerouted`.
local function handle_of(of)
  local waits = 0
  local function until_it_waits(methods)
    local now = waits
    return setmetatable({}, { __index = function(_, name)
      if waits ~= now then error('object used outside of proper scope', 2) end
      return methods[name]
    end })
  end
  local function wait(why)
    local got = coroutine.yield(why)
    waits = waits + 1
    return got
  end
  local headers = {
    get = function(_, name) return of.headers[name] end,
    replace = function(_, name, value)
      if type(value) ~= 'string' then error('not a header: ' .. tostring(value), 2) end
      of.headers[name] = value
    end,
    remove = function(_, name) of.headers[name] = nil end,
  }
  local metadata = {
    get = function(_, space) return of.metadata[space] end,
    set = function(_, space, key, value)
      of.metadata[space] = of.metadata[space] or {}
      of.metadata[space][key] = value
    end,
  }
  local function buffer(holder, key)
    return until_it_waits({
      length = function() return #holder[key] end,
      getBytes = function(_, start, length)
        if start + length > #holder[key] then error('index/length must be >= 0 and (index + length) must be <= buffer size', 2) end
        return string.sub(holder[key], start + 1, start + length)
      end,
      setBytes = function(_, text) holder[key] = text end,
    })
  end
  return {
    headers = function() return until_it_waits(headers) end,
    streamInfo = function()
      return until_it_waits({ dynamicMetadata = function() return until_it_waits(metadata) end })
    end,
    filterContext = function() return until_it_waits({ get = function(_, key) return of.context[key] end }) end,
    stats = function() return until_it_waits(stats) end,
    timestamp = function() return of.now end,
    clearRouteCache = function() of.rerouted = true end,
    body = function()
      of.body = table.concat(of.pieces)
      wait('body')
      return buffer(of, 'body')
    end,
    bodyChunks = function()
      local at = 0
      return function()
        at = at + 1
        wait('piece')
        if at > 1 then of.now = of.now + of.pace end
        of.passed[at] = of.pieces[at]
        return of.pieces[at] and buffer(of.passed, at)
      end
    end,
    respond = function(_, sent, body)
      for name, value in pairs(sent) do
        if type(value) ~= 'string' then error('not a header: ' .. tostring(name), 2) end
      end
      of.response = { headers = sent, body = body }
      coroutine.yield('responded')
    end,
  }
end

-- Runs a script to its end, or until it has responded.
local function run(script, of)
  local thread = coroutine.create(script)
  local handle = handle_of(of)
  repeat
    local good, why = coroutine.resume(thread, handle)
    if not good then error(why .. '\n' .. debug.traceback(thread), 0) end
  until coroutine.status(thread) == 'dead' or why == 'responded'
end
