#include "corral.h"

boolean same(text a, text b) { return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n)); }

boolean same_but_case(text a, text b) { return a.n == b.n && (!a.n || !strncasecmp(a.p, b.p, a.n)); }

boolean starts(text of, text with) { return of.n >= with.n && !memcmp(of.p, with.p, with.n); }

boolean starts_but_case(text of, text with) { return of.n >= with.n && !strncasecmp(of.p, with.p, with.n); }

boolean find(text in, text what, size *at) {
  if (*at >= in.n) return 0;
  const char *match = memmem(in.p + *at, in.n - *at, what.p, what.n);
  if (!match) return 0;
  *at = (size)(match - in.p);
  return 1;
}

boolean is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

size skip_blank(text t, size at) {
  while (at < t.n && is_blank(t.p[at])) at++;
  return at;
}

boolean has(text in, text what) {
  size at = 0;
  return find(in, what, &at);
}

size value_behind(text t, size at) {
  at = skip_blank(t, at);
  return at < t.n && t.p[at] == ':' ? skip_blank(t, at + 1) : t.n;
}

text part(text t, size from, size to) {
  if (to > t.n) to = t.n;
  return from < to ? (text){ t.p + from, to - from } : NO_TEXT;
}

i64 number(text t) {
  const i64 most = 1000000000000000;
  if (!t.n || t.p[0] < '0' || t.p[0] > '9') return -1;
  i64 n = 0;
  for (size i = 0; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++) {
    n = n * 10 + (t.p[i] - '0');
    if (n > most) return most;
  }
  return n;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

u64 hexadecimal(text t) {
  u64 n = 0;
  for (size i = 0; i < t.n; i++) {
    if (i == 16 || hex_value(t.p[i]) < 0) return 0;
    n = n << 4 | (u64)hex_value(t.p[i]);
  }
  return n;
}

// Eight bytes at a time: the names of series are long.
u32 hash(text t) {
  u64 h = t.n, piece;
  for (; t.n >= sizeof piece; t = part(t, sizeof piece, t.n)) {
    memcpy(&piece, t.p, sizeof piece);
    h = (h ^ piece) * 0x9e3779b97f4a7c15ul;
    h ^= h >> 32;
  }
  piece = 0;
  if (t.n) memcpy(&piece, t.p, t.n);
  h = (h ^ piece) * 0x9e3779b97f4a7c15ul;
  return (u32)(h ^ h >> 32);
}

void *allocate(size n) {
  void *p = calloc(1, n ? n : 1);
  if (!p) abort(); // Envoy itself ends so, and is started again
  return p;
}

buffer with_space(size n) {
  char *p = malloc(n ? n : 1);
  if (!p) abort();
  return (buffer){ p, 0, n };
}

void add(buffer *to, text t) {
  if (!t.n) return;
  if (to->space - to->n < t.n) {
    size space = to->space * 2 > to->n + t.n ? to->space * 2 : to->n + t.n + 64;
    char *p = realloc(to->p, space);
    if (!p) abort();
    to->p = p;
    to->space = space;
  }
  memcpy(to->p + to->n, t.p, t.n);
  to->n += t.n;
}

text digits_of(i64 n, char to[24]) {
  char *from = to + 24;
  u64 rest = n < 0 ? 0 - (u64)n : (u64)n;
  for (; rest >> 32; rest /= 10) *--from = (char)('0' + rest % 10);
  for (u64 tenth;; rest = tenth) { // without a division, which the compiler would not replace and the processor does slowly
    tenth = rest * 0xcccccccdul >> 35;
    *--from = (char)('0' + (rest - tenth * 10));
    if (!tenth) break;
  }
  if (n < 0) *--from = '-';
  return (text){ from, (size)(to + 24 - from) };
}

void add_number(buffer *to, i64 n) {
  char digits[24];
  add(to, digits_of(n, digits));
}

// How many of its first bytes stand for themselves in a JSON string, printable ASCII that they are; eight at a time, by the
// highest bit of each, which a sum or a difference reaches where a byte is not.
static size plain_bytes(text t) {
  const u64 each = 0x0101010101010101ul, high = each << 7;
  size at = 0;
  for (u64 piece; at + sizeof piece <= t.n; at += sizeof piece) {
    memcpy(&piece, t.p + at, sizeof piece);
    u64 quote = piece ^ each * '"', escape = piece ^ each * '\\';
    if ((piece | (piece + each) | (piece - each * ' ') | (quote - each) | (escape - each)) & high) break;
  }
  for (; at < t.n; at++) {
    char c = t.p[at];
    if (c < ' ' || c > '~' || c == '"' || c == '\\') break;
  }
  return at;
}

void add_quoted(buffer *to, text t) {
  add(to, T("\""));
  for (size from = 0, at = 0; at < t.n; from = ++at) {
    at += plain_bytes(part(t, at, t.n));
    add(to, part(t, from, at));
    if (at == t.n) break;
    char c = t.p[at];
    add(to, c == '"' ? T("\\\"") : c == '\\' ? T("\\\\") : T("?"));
  }
  add(to, T("\""));
}

text all_of(const buffer *b) { return (text){ b->p, b->n }; }

text copy_of(text t) {
  char *p = allocate(t.n + 1);
  if (t.n) memcpy(p, t.p, t.n);
  return (text){ p, t.n };
}

i64 add_to(i64 *at, i64 n) { return __atomic_fetch_add(at, n, 5); }

i64 value_of(i64 *at) {
  i64 value;
  __atomic_load(at, &value, 5);
  return value;
}

void set_to(i64 *at, i64 n) { __atomic_store(at, &n, 5); }

void lock(i64 *of) {
  for (i64 open = 0; !swap(of, &open, 1); open = 0) sched_yield();
}

void unlock(i64 *of) { set_to(of, 0); }

boolean swap(i64 *at, i64 *expected, i64 to) { return __atomic_compare_exchange(at, expected, &to, 0, 5, 5); }
