// SHA-256 (FIPS 180-4) of short texts: the stack file has a caller's key only as its hash.

#include "corral.h"

static const u32 ROUNDS[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
  0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
  0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
  0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
  0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
  0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 turned(u32 x, u32 by) { return x >> by | x << (32 - by); }

static void add_block(u32 state[8], const u8 *in) {
  u32 w[64], v[8];
  for (int i = 0; i < 16; i++) {
    w[i] = (u32)in[4 * i] << 24 | (u32)in[4 * i + 1] << 16 | (u32)in[4 * i + 2] << 8 | in[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    u32 x = w[i - 15], y = w[i - 2];
    w[i] = w[i - 16] + (turned(x, 7) ^ turned(x, 18) ^ x >> 3) + w[i - 7] + (turned(y, 17) ^ turned(y, 19) ^ y >> 10);
  }
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    u32 e = v[4], a = v[0];
    u32 first = v[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + ROUNDS[i] + w[i];
    u32 second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    for (int j = 7; j; j--) v[j] = v[j - 1];
    v[4] += first;
    v[0] = first + second;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

void sha256(text t, u8 out[32]) {
  u32 state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
  size whole = t.n / 64 * 64, rest = t.n - whole, last = rest < 56 ? 64 : 128;
  u8 end[128] = { 0 };
  for (size at = 0; at < whole; at += 64) add_block(state, (const u8 *)t.p + at);
  if (rest) memcpy(end, t.p + whole, rest);
  end[rest] = 128;
  for (u32 i = 0; i < 8; i++) end[last - 1 - i] = (u8)(t.n * 8 >> 8 * i);
  for (size at = 0; at < last; at += 64) add_block(state, end + at);
  for (int i = 0; i < 32; i++) out[i] = (u8)(state[i / 4] >> (24 - 8 * (i % 4)));
}
