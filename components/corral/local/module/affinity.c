// Requests of one session go to the same host, so that it finds their prompt in its cache: what they have in common is
// made a number, and of the hosts there are the session prefers one by that number and the shares.
//
// Of each session and host there is a number u between 0 and 1, always the same; preferred is the host whose -log(u)/weight
// is the least.  That is as random as the shares say, needs no memory, is the same in every process, and where a host is
// left out its sessions alone go elsewhere, and come back.

#include "corral.h"

enum { MOST_OF_PROMPT = 65536 }; // bytes; of what is longer, its length

static u64 scatter(u64 x) { // the finalizer of SplitMix64
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ul;
  x = (x ^ x >> 27) * 0x94d049bb133111ebul;
  return x ^ x >> 31;
}

u64 mark_of(text t, u64 before) {
  u64 mark = scatter(before ^ t.n), piece;
  text rest = part(t, 0, MOST_OF_PROMPT);
  for (; rest.n >= sizeof piece; rest = part(rest, sizeof piece, rest.n)) {
    memcpy(&piece, rest.p, sizeof piece);
    mark = scatter(mark ^ piece);
  }
  piece = 0;
  if (rest.n) memcpy(&piece, rest.p, rest.n);
  return scatter(mark ^ piece);
}

static boolean is_of_user(text message) {
  static const text ROLE[1] = { { "role", 4 } };
  member role[1] = { { 0, 0, 0 } };
  char wrong[192];
  return find_members(message, ROLE, 1, role, wrong) && same(value_at(message, role), T("\"user\""));
}

// Of a list of messages what stands up to the end of the first one of the user; of anything else all.
static text first_messages(text messages) {
  u32 parts = 0;
  if (!starts(messages, T("["))) return messages;
  for (size at = skip_blank(messages, 1); at < messages.n;) {
    size from = at;
    if (!skip_value(messages, &at, &parts)) break;
    if (is_of_user(part(messages, from, at))) return part(messages, 0, at);
    at = skip_blank(messages, at);
    if (at == messages.n || messages.p[at] != ',') break;
    at = skip_blank(messages, at + 1);
  }
  return messages;
}

static u64 mark_of_prompt(text body, const member *members) {
  if (!members[MESSAGES].to && !members[INPUT].to) return 0;
  u64 mark = mark_of(value_at(body, &members[SYSTEM]), 1);
  mark = mark_of(value_at(body, &members[INSTRUCTIONS]), mark);
  return mark_of(first_messages(value_at(body, &members[members[MESSAGES].to ? MESSAGES : INPUT])), mark);
}

// A name is of the tenant's own sessions alone; a prompt is the same whoever sends it.
u64 session_of(const request *r, void *filter, text body, const member *members) {
  if (!r->model->keeps_sessions) return 0;
  if (!r->model->session_header.n) return is_of_prompts(r) ? mark_of_prompt(body, members) : 0;
  text name = header_of(filter, REQUEST_HEADERS, r->model->session_header);
  if (!name.n) return 0;
  return mark_of(name, mark_of(r->tenant->name, 1));
}

// -log2(u / 2^64), in 2^-32: the places before the first one of u, less the logarithm of what follows.
static u64 minus_log(u64 u) {
  u64 zeros = 0, fraction = 0;
  if (!u) u = 1;
  for (; !(u >> 63); u <<= 1) zeros++;
  u64 m = u >> 32; // between 1 and 2, in 2^-31
  for (u32 i = 0; i < 32; i++) {
    m = m * m;
    u64 above = m >> 63;
    m >>= above ? 32 : 31;
    fraction = fraction << 1 | above;
  }
  return ((zeros + 1) << 32) - fraction;
}

u32 preferred(const model *of, u64 hosts, u64 session) {
  u32 best = 0;
  u64 least = 0;
  for (u32 i = 0; i < of->count; i++) {
    if (!(hosts >> i & 1)) continue;
    u64 distance = minus_log(scatter(session ^ of->targets[i].host->mark));
    if (least && distance * of->targets[best].weight >= least * of->targets[i].weight) continue;
    best = i;
    least = distance;
  }
  return best;
}

// What a host is told of a session, in hexadecimal digits.
text hint_of(u64 session, char to[17]) {
  snprintf(to, 17, "%016lx", session);
  return (text){ to, 16 };
}
