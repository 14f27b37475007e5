// The hosts that have said how long they take no more (429 with `Retry-After`).  All workers know it from the first answer
// that says so, and leave the host out of the requests that come after it.

#include "corral.h"

enum { MOST_HOSTS = 16 }; // of one variant of a model; beyond them nobody is left out for it

typedef struct throttled {
  struct throttled *next;
  text variant, host; // owned
  i64 till;           // microseconds
} throttled;

static throttled *list;
static i64 last; // when the last of them is over
static i64 lock;

static void enter(void) {
  i64 open = 0;
  while (!swap(&lock, &open, 1)) open = 0;
}

static void leave(void) { add_to(&lock, -1); }

static void forget_until(i64 at) {
  for (throttled **each = &list; *each;) {
    throttled *of = *each;
    if (of->till > at) {
      each = &of->next;
      continue;
    }
    *each = of->next;
    free((char *)of->variant.p);
    free((char *)of->host.p);
    free(of);
  }
}

void throttle(text variant, text host, i64 till) {
  enter();
  throttled *found = list;
  while (found && !(same(found->variant, variant) && same(found->host, host))) found = found->next;
  if (!found) {
    found = allocate(sizeof *found);
    *found = (throttled){ list, copy_of(variant), copy_of(host), 0 };
    list = found;
  }
  found->till = till;
  i64 before = value_of(&last);
  if (before < till) add_to(&last, till - before);
  leave();
}

static boolean goes_before(text a, text b) {
  size n = a.n < b.n ? a.n : b.n;
  int order = n ? memcmp(a.p, b.p, n) : 0;
  return order ? order < 0 : a.n < b.n;
}

// In order of name, as the hosts of a link know by whose absence they can be picked (`corral.local.envoy.clusters`).
static void add_names(buffer *to, text variant) {
  text names[MOST_HOSTS];
  u32 count = 0;
  for (const throttled *each = list; each; each = each->next) {
    if (!same(each->variant, variant)) continue;
    if (count == MOST_HOSTS) return;
    u32 at = count++;
    for (; at && goes_before(each->host, names[at - 1]); at--) names[at] = names[at - 1];
    names[at] = each->host;
  }
  for (u32 i = 0; i < count; i++) {
    if (i) add(to, T("+"));
    add(to, names[i]);
  }
}

void leave_throttled_out(const request *r, void *filter) {
  i64 at = now();
  if (value_of(&last) <= at) return;
  buffer names = { 0, 0, 0 };
  enter();
  forget_until(at);
  add_names(&names, r->variant);
  leave();
  if (names.n) envoy(http_set_dynamic_metadata_string)(filter, T("envoy.lb"), T("without"), all_of(&names));
  free(names.p);
}

static boolean is_char(text t, size at, char c) { return at < t.n && t.p[at] == c; }

static boolean take_number(text t, size *at, i64 *to) {
  *to = number(part(t, *at, t.n));
  while (*at < t.n && t.p[*at] >= '0' && t.p[*at] <= '9') ++*at;
  return *to >= 0 && *to < 100000;
}

// `Sun, 06 Nov 1994 08:49:37 GMT`.  Days are counted from March on, as leap days then come last.
i64 date_of(text t) {
  static const char MONTHS[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
  i64 day, year, hour, minute, second;
  size at = 5, month = 0;
  if (!is_char(t, 3, ',') || !is_char(t, 4, ' ') || !take_number(t, &at, &day) || !is_char(t, at, ' ')) return -1;
  if (!find((text){ MONTHS, sizeof MONTHS - 1 }, part(t, at + 1, at + 4), &month) || month % 3) return -1;
  at += 4;
  if (!is_char(t, at++, ' ') || !take_number(t, &at, &year) || !is_char(t, at++, ' ')) return -1;
  if (!take_number(t, &at, &hour) || !is_char(t, at++, ':') || !take_number(t, &at, &minute)) return -1;
  if (!is_char(t, at++, ':') || !take_number(t, &at, &second) || !same(part(t, at, t.n), T(" GMT"))) return -1;
  month /= 3;
  if (month > 9) year--;
  i64 days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * (i64)month + 2) / 5 + day;
  return (days - 719469) * 86400 + hour * 3600 + minute * 60 + second;
}
