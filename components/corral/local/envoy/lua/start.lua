-- What every script begins with.

-- The compiler would find nothing to gain here: nearly all of a script's time goes into calls of Envoy and searches in
-- texts, which it does not compile, and it would go on trying for every request.
jit.off(true, true)

local MUCH = 2 ^ 15 -- KiB of memory, most of which is then what bodies have left behind

local function tidy()
  if collectgarbage('count') > MUCH then collectgarbage() end
end
