// What a tenant may use.
//
// A bucket holds what a tenant may use in a minute and fills steadily.  Its level is the time, in microseconds, at which
// it is full again: in the past when it is full, a minute ahead when it is empty, further when more was used than was
// left.  Tokens are known only after the answer; what it used up beyond the bucket is paid back before the next one.

#include "log.h"

enum { MINUTE = 60000000 };

const text LIMIT_NAMES[] = { { "", 0 }, { "requests", 8 }, { "tokens", 6 }, { "concurrent", 10 }, { "budget", 6 } };

static i64 full_at(const rate *of, i64 at) {
  i64 full = value_of(&of->level->value);
  return full > at ? full : at;
}

i64 left_of(const rate *of, i64 at) {
  double left = (double)(at + MINUTE - full_at(of, at)) * (double)of->limit / MINUTE + 1e-6;
  return left > 0 ? (i64)left : 0;
}

// Draws an amount; a negative one is given back.
void use(const rate *of, i64 amount, i64 at) {
  double exact = (double)amount * MINUTE / (double)of->limit;
  i64 span = exact < 0 ? -(i64)(-exact + 0.5) : (i64)(exact + 0.5), before = value_of(&of->level->value), after;
  do {
    after = (before > at ? before : at) + span;
  } while (!swap(&of->level->value, &before, after));
}

// Microseconds until one more can be used.
i64 wait_for(const rate *of, i64 at) {
  double wait = (double)(full_at(of, at) - at - MINUTE) + (double)MINUTE / (double)of->limit;
  i64 whole = wait > 0 ? (i64)wait : 0;
  return (double)whole < wait ? whole + 1 : whole;
}

// The buckets of a request: of each kind the tenant's own, then its own for this model.
static u32 rates_of(const request *r, u32 kind, const rate *rates[2]) {
  u32 count = 0;
  if (r->tenant->rates[kind].limit >= 0) rates[count++] = &r->tenant->rates[kind];
  if (r->grant && r->grant->rates[kind].limit >= 0) rates[count++] = &r->grant->rates[kind];
  return count;
}

static size in_seconds(i64 microseconds, char to[32]) {
  i64 milliseconds = (microseconds + 500) / 1000;
  char digits[24];
  text whole = digits_of(milliseconds / 1000, digits);
  memcpy(to, whole.p, whole.n);
  char rest[5] = { '.', 0, 0, 0, 's' };
  for (i64 place = 3, left = milliseconds % 1000; place; left /= 10) rest[place--] = (char)('0' + left % 10);
  memcpy(to + whole.n, rest, sizeof rest);
  return whole.n + sizeof rest;
}

// Tells a client what is left: of two buckets of a kind, of the one with less.
void add_rate_headers(const request *r, i64 at, void (*set)(void *, text, text), void *to) {
  static const text NAMES[RATES][3] = {
    { { "x-ratelimit-limit-requests", 26 },
      { "x-ratelimit-remaining-requests", 30 },
      { "x-ratelimit-reset-requests", 26 } },
    { { "x-ratelimit-limit-tokens", 24 }, { "x-ratelimit-remaining-tokens", 28 }, { "x-ratelimit-reset-tokens", 24 } },
  };
  char value[32];
  for (u32 kind = 0; kind < RATES; kind++) {
    const rate *rates[2], *least;
    u32 count = rates_of(r, kind, rates);
    if (!count) continue;
    least = count > 1 && left_of(rates[1], at) < left_of(rates[0], at) ? rates[1] : rates[0];
    set(to, NAMES[kind][0], digits_of(least->limit, value));
    set(to, NAMES[kind][1], digits_of(left_of(least, at), value));
    set(to, NAMES[kind][2], (text){ value, in_seconds(full_at(least, at) - at, value) });
  }
}

enum { MOST_SHOWN = 7 };

typedef struct {
  header list[MOST_SHOWN];
  char values[MOST_SHOWN][32];
  u32 count;
} headers;

static void keep_header(void *to, text name, text value) {
  headers *of = to;
  if (of->count == MOST_SHOWN || value.n > sizeof of->values[0]) return;
  memcpy(of->values[of->count], value.p, value.n);
  of->list[of->count] = (header){ name, { of->values[of->count], value.n } };
  of->count++;
}

static boolean within_rates(request *r, void *filter, i64 at) {
  const rate *rates[2], *empty = 0; // of those that are, the one that takes longest
  boolean for_model = 0;
  for (u32 kind = 0; kind < RATES; kind++) {
    u32 count = rates_of(r, kind, rates);
    for (u32 i = 0; i < count; i++) {
      if (left_of(rates[i], at) >= 1 || (empty && wait_for(rates[i], at) <= wait_for(empty, at))) continue;
      empty = rates[i];
      for_model = r->grant && empty == &r->grant->rates[kind];
      r->limited = kind == REQUESTS ? BY_REQUESTS : BY_TOKENS;
    }
  }
  if (!empty) return 1;
  text kind = LIMIT_NAMES[r->limited];
  char message[512], seconds[32];
  i64 wait = wait_for(empty, at);
  headers more = { .count = 0 };
  size length = in_seconds(wait, seconds);
  int size_of_message = snprintf(message, sizeof message,
                                 "Tenant %.*s has used its %ld %s per minute%s%.*s. Try again in %.*s.",
                                 (int)r->tenant->name.n, r->tenant->name.p, empty->limit, kind.p, for_model ? " for " : "",
                                 for_model ? (int)r->model->name.n : 0, r->model->name.p, (int)length, seconds);
  add_rate_headers(r, at, keep_header, &more);
  length = (size)snprintf(seconds, sizeof seconds, "%ld", (wait + 999999) / 1000000);
  keep_header(&more, T("retry-after"), (text){ seconds, length });
  refuse(filter, 429, T("rate_limit_exceeded"), part((text){ message, sizeof message - 1 }, 0, (size)size_of_message), kind,
         NO_TEXT, more.list, more.count);
  return 0;
}

static const header RETRY_SOON = { { "retry-after", 11 }, { "1", 1 } };

static boolean begin_of_all(request *r, void *filter) {
  if (r->tenant->total < 0) return 1;
  r->counted_of_all = 1;
  if (add_to(&r->plan->active->value, 1) < r->tenant->total) return 1;
  refuse(filter, 503, T("overloaded"), T("The gateway has as many requests under way as it may have. Try again."),
         T("server_error"), NO_TEXT, &RETRY_SOON, 1);
  return 0;
}

static boolean begin_of_tenant(request *r, void *filter) {
  if (r->tenant->concurrent < 0) return 1;
  r->counted_of_tenant = 1;
  if (add_to(&r->tenant->active->value, 1) < r->tenant->concurrent) return 1;
  char message[384];
  int length = snprintf(
    message, sizeof message,
    "Tenant %.*s has %ld requests under way, the most it may have at once. Try again when one has ended.",
    (int)r->tenant->name.n, r->tenant->name.p, r->tenant->concurrent);
  r->limited = BY_CONCURRENT;
  refuse(filter, 429, T("rate_limit_exceeded"), part((text){ message, sizeof message - 1 }, 0, (size)length), T("requests"),
         NO_TEXT, &RETRY_SOON, 1);
  return 0;
}

// Counts the requests of a tenant that are under way, where it has a limit on them.
static void publish(request *r, i64 by) {
  buffer name = { 0, 0, 0 };
  add(&name, T("tenant."));
  add(&name, r->tenant->name);
  count(series_of(OF_ACTIVE, all_of(&name), 0), 0, by);
  free(name.p);
  r->published = by > 0;
}

// Whether there is room for the request: in the gateway, for those of this tenant's priority, and of the tenant's own,
// and something left in every bucket.  From here on it is under way.
boolean begin(request *r, void *filter) {
  i64 at = now();
  if (!begin_of_all(r, filter) || !begin_of_tenant(r, filter) || !within_rates(r, filter, at)) {
    end(r);
    return 0;
  }
  const rate *rates[2];
  u32 count = rates_of(r, REQUESTS, rates);
  for (u32 i = 0; i < count; i++) use(rates[i], 1, at);
  if (r->counted_of_tenant) publish(r, 1);
  return 1;
}

void use_tokens(const request *r, i64 amount, i64 at) {
  const rate *rates[2];
  u32 count = rates_of(r, TOKENS, rates);
  for (u32 i = 0; amount && i < count; i++) use(rates[i], amount, at);
  if (!amount || !r->attempts) return;
  const rate *own = &r->target->capacity.rates[TOKENS], *of_host = &r->target->host->capacity.rates[TOKENS];
  if (own->limit >= 0) use(own, amount, at);
  if (of_host->limit >= 0) use(of_host, amount, at);
}

void end(request *r) {
  if (r->published) publish(r, -1);
  if (r->counted_of_all) add_to(&r->plan->active->value, -1);
  if (r->counted_of_tenant) add_to(&r->tenant->active->value, -1);
  r->counted_of_all = r->counted_of_tenant = r->published = 0;
}
