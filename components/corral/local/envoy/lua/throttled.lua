-- The hosts that have said how long they take no more (429 with `Retry-After`).  Each worker learns it for itself, from
-- the answer to a request that met such a host, and leaves the host out of the requests that come after it.

local LB = 'envoy.lb'

local throttled = {} -- by variant of a model: until when (ms), by host

-- What the attempts of a request have been told.
local function learn(variant, hosts)
  local before = throttled[variant] or {}
  for host, till in pairs(hosts) do before[host] = till end
  throttled[variant] = before
end

-- Leaves out of a request who is throttled; the hosts of a link know by whose absence they can be picked (`clusters`).
local function without_throttled(handle, variant, now)
  local hosts = throttled[variant]
  if not hosts then return end
  local names = {}
  for host, till in pairs(hosts) do
    if till > now then names[#names + 1] = host else hosts[host] = nil end
  end
  if #names == 0 then
    throttled[variant] = nil
    return
  end
  table.sort(names)
  handle:streamInfo():dynamicMetadata():set(LB, 'without', table.concat(names, '+'))
end
