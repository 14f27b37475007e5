// Headers: read all at once, as each question for one of them is a call of Envoy's, and taken away where they are there: a
// search for one by a name that Envoy does not keep at hand has it build a table of all.

#include "corral.h"

text header_of(void *filter, int kind, text name) {
  text value = NO_TEXT;
  size n = 0;
  return envoy(http_get_header)(filter, kind, name, &value, 0, &n) ? value : NO_TEXT;
}

size all_headers(void *filter, int kind, header to[MOST_HEADERS]) {
  size n = envoy(http_get_headers_size)(filter, kind);
  return n <= MOST_HEADERS && envoy(http_get_headers)(filter, kind, to) ? n : 0;
}

head head_of(const header *all, size count) {
  head of = { .status = NO_TEXT };
  for (size i = 0; i < count; i++) {
    text key = all[i].key, value = all[i].value;
    if (key.n == 7 && same(key, T(":status"))) of.status = value;
    if (key.n == 12 && same(key, T("content-type"))) of.kind = value;
    if (key.n == 12 && same(key, T("x-request-id"))) of.request_id = value;
    if (key.n == 11 && same(key, T("retry-after"))) of.retry_after = value;
    if (key.n > 9 && key.p[0] == 'x' && starts(key, T("x-corral-"))) {
      of.has_ours = 1;
      if (same(key, T("x-corral-unsupported"))) of.lacks = 1;
    }
  }
  return of;
}

// Those of a length stand behind each other.
static void read_names(names *to, text line) {
  for (size n = 0; n < COUNT(to->from); n++) {
    to->from[n] = to->count;
    for (size at = 0, from; at < line.n; at++) {
      for (from = at; at < line.n && line.p[at] != ' ';) at++;
      if (at - from == n && n && to->count < MOST_NAMES) to->list[to->count++] = part(line, from, at);
    }
  }
}

void read_hidden(hidden *to, text source) {
  size line = 0;
  to->source = copy_of(source);
  if (!find(to->source, T("\n"), &line)) line = source.n;
  read_names(&to->of_requests, part(to->source, 0, line));
  read_names(&to->of_answers, part(to->source, line + 1, source.n));
}

// Those of the names that are there, as bits; where the headers could not be read, all.
static u64 present(const names *of, const header *all, size count) {
  u64 there = count ? 0 : ~(u64)0;
  for (size i = 0; i < count; i++) {
    text key = all[i].key;
    if (key.n + 1 >= COUNT(of->from)) continue;
    for (u32 name = of->from[key.n]; name < of->from[key.n + 1]; name++) {
      if (same(of->list[name], key)) there |= (u64)1 << name;
    }
  }
  return there;
}

// By our own text of a name, as that of Envoy goes with the header; what was read of the others stays.
void hide(void *filter, int kind, const names *of, const header *all, size count, text but) {
  u64 there = present(of, all, count);
  for (u32 name = 0; there && name < of->count; name++, there >>= 1) {
    if (there & 1 && !same(of->list[name], but)) envoy(http_set_header)(filter, kind, of->list[name], NO_TEXT);
  }
}
