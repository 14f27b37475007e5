-- SHA-256 (FIPS 180-4) of short texts: the stack file has a caller's key only as its hash, and Envoy offers none.

local band, bnot, bxor, ror, rshift, tobit, tohex = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit, bit.tohex

-- The first 32 bits of the fractional parts of the square and cube roots of the first primes.
local ROUNDS, START = {}, {}
do
  local function fraction(root)
    return tobit(math.floor((root - math.floor(root)) * 2 ^ 32))
  end
  local prime, count = 2, 0
  while count < 64 do
    local is_prime = true
    for divisor = 2, math.floor(math.sqrt(prime)) do
      if prime % divisor == 0 then is_prime = false break end
    end
    if is_prime then
      count = count + 1
      ROUNDS[count] = fraction(prime ^ (1 / 3))
      if count <= 8 then START[count] = fraction(math.sqrt(prime)) end
    end
    prime = prime + 1
  end
end

local function sha256(text)
  local length = #text
  local padded = text .. '\128' .. string.rep('\0', (55 - length) % 64)
    .. '\0\0\0\0' .. string.char(band(rshift(length * 8, 24), 255), band(rshift(length * 8, 16), 255),
      band(rshift(length * 8, 8), 255), band(length * 8, 255))
  local state = { unpack(START) }
  local words = {}
  for block = 1, #padded, 64 do
    for i = 1, 16 do
      local a, b, c, d = byte(padded, block + (i - 1) * 4, block + (i - 1) * 4 + 3)
      words[i] = tobit(a * 2 ^ 24 + b * 2 ^ 16 + c * 2 ^ 8 + d)
    end
    for i = 17, 64 do
      local x, y = words[i - 15], words[i - 2]
      words[i] = tobit(words[i - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3)) + words[i - 7]
        + bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
    end
    local a, b, c, d, e, f, g, h = unpack(state)
    for i = 1, 64 do
      local t1 = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + ROUNDS[i] + words[i])
      local t2 = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c)))
      a, b, c, d, e, f, g, h = tobit(t1 + t2), a, b, c, tobit(d + t1), e, f, g
    end
    local now = { a, b, c, d, e, f, g, h }
    for i = 1, 8 do state[i] = tobit(state[i] + now[i]) end
  end
  for i = 1, 8 do state[i] = tohex(state[i]) end
  return table.concat(state)
end

jit.on(sha256) -- the one function that computes: a key that nobody knows costs as little as it can
