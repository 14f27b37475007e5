// Which host a request is sent to next.
//
// A sharing host by weight, one that was not tried before; then the fallbacks in order.  Who has failed again and again
// is left out for a while, likewise who has said how long it takes no more (429 with `Retry-After`); where all are, they
// are tried all the same.  A host of which no address is known is as one that does not answer.
//
// A host that is full, by what it takes at once or a minute, is passed over: the next sharing host is asked, then the
// fallbacks.  Where all are full, they get what is too much by their shares, and queue or refuse it themselves.
//
// At a host that has requests wait, a request for which it is drawn before its first attempt waits for a place there
// (`places.c`), once.  When it has waited in vain, it passes over who is full, as later attempts do.
//
// Hosts take turns: of each hundred requests a host has its share within one or two.  A request of a session goes to the
// one that the session prefers of those that would be drawn from.

#include "log.h"

enum { MOST_EJECTIONS = 1000 };

u32 count_of(u64 hosts) {
  u32 count = 0;
  for (; hosts; hosts &= hosts - 1) count++;
  return count;
}

// The hosts that may be asked now; `full` are those of which that was found out.  Of a request that may wait, those at
// which it could are among them; 0: none has a place, or has it wait.
static u64 candidates(const request *r, u64 full, boolean may_wait) {
  i64 at = now();
  u64 left = r->allowed & ~r->tried, well = 0, with_places = 0;
  for (u32 i = 0; i < r->model->count; i++) {
    const target *of = &r->model->targets[i];
    if (!(left >> i & 1) || is_left_out(of, at)) continue;
    well |= (u64)1 << i;
    if ((may_wait && of->host->overflow.wait) || has_place(of, at)) with_places |= (u64)1 << i;
  }
  with_places &= ~full;
  return with_places || may_wait ? with_places : well ? well : left;
}

// Of a sequence that fills the range evenly: the fractions of multiples of the golden ratio.
u64 next_turn(level *turns, u64 below) {
  u64 turn = (u64)add_to(&turns->value, 1) * 0x9e3779b97f4a7c15ul;
  return (turn >> 32) * below >> 32;
}

// The place of a host of the first priority that there is, by weight.
static u32 draw(const model *of, u64 hosts, u64 session) {
  u32 first = 0, end;
  u64 sum = 0, drawn_from = 0;
  while (!(hosts >> first & 1)) first++;
  for (end = first; end < of->count && of->targets[end].priority == of->targets[first].priority; end++) {
    if (!(hosts >> end & 1)) continue;
    sum += of->targets[end].weight;
    drawn_from |= (u64)1 << end;
  }
  if (session) return preferred(of, drawn_from, session);
  u64 rest = next_turn(of->turns, sum);
  for (u32 i = first; i < end; i++) {
    if (!(hosts >> i & 1)) continue;
    if (rest < of->targets[i].weight) return i;
    rest -= of->targets[i].weight;
  }
  return first;
}

static boolean has_address(const target *of, void *context) {
  size total = 0;
  return envoy(cluster_specifier_get_cluster_host_count)(context, of->host->cluster, 0, &total, 0, 0) && total;
}

void add_names(buffer *to, const request *r, const target *of) {
  add(to, T("model."));
  add(to, r->model->name);
  add(to, T(".host."));
  add(to, of->host->name);
}

void count_attempt(const request *r, const target *of, i64 status) {
  i64 *good = &of->standing->good_attempts;
  if (status == 200 && value_of(good)) {
    count((series *)value_of(good), 0, 1);
    return;
  }
  buffer name = { 0, 0, 0 };
  add_names(&name, r, of);
  add(&name, T(".code."));
  add_number(&name, status);
  series *to = series_of(OF_ATTEMPTS, all_of(&name), 0);
  count(to, 0, 1);
  if (status == 200) set_to(good, (i64)to);
  free(name.p);
}

boolean find_place(request *r, void *filter) {
  u64 full = 0, hosts;
  while ((hosts = candidates(r, full, 1))) {
    u32 place = draw(r->model, hosts, r->session);
    int outcome = take_or_await(r, &r->model->targets[place], filter);
    if (outcome != NO_PLACE) return outcome == PLACE_TAKEN;
    full |= (u64)1 << place;
  }
  return 1;
}

boolean choose(request *r, void *context) {
  if (r->target && !r->started) return 1; // it was chosen, and nobody has been asked since
  const target *held = r->target ? 0 : r->place; // since it was let through
  if (!held) leave_place(r);
  u64 full = 0;
  for (u32 tries = 0; tries < 2 * MOST_TARGETS; tries++) {
    u64 hosts = candidates(r, full, 0);
    if (!hosts) { // all were tried: from the first on
      if (!r->tried) return 0;
      r->tried = 0;
      continue;
    }
    u32 place = held ? (u32)(held - r->model->targets) : draw(r->model, hosts, r->session);
    const target *of = &r->model->targets[place];
    u64 bit = (u64)1 << place;
    if (!held && !take_place(r, of, full >> place & 1)) {
      full |= bit;
      continue;
    }
    held = 0;
    r->tried |= bit;
    if (!has_address(of, context)) {
      judge(r, of, 0, 1);
      if (r->allowed & ~r->tried) continue;
    }
    r->target = of;
    r->started = 0;
    return 1;
  }
  return 0;
}

// Until when a host is left out can be read; who reads it compares.
static void publish(const request *r, const target *of) {
  i64 until = value_of(&of->standing->ejected_until), before = value_of(&of->standing->published);
  if (until == before || !swap(&of->standing->published, &before, until)) return;
  buffer name = { 0, 0, 0 };
  add_names(&name, r, of);
  set_value(series_of(OF_EJECTIONS, all_of(&name), 0), until / 1000);
  free(name.p);
}

// How often a host was left out lately: once less for each interval in which it was not.
static i64 ejections_at(const ejection *rule, standing *of, i64 at) {
  i64 back = value_of(&of->ejected_until), count = value_of(&of->ejections);
  if (rule->interval > 0 && at > back) count -= (at - back) / rule->interval;
  return count > 0 ? count : 0;
}

static void eject(const ejection *rule, standing *of, i64 at) {
  i64 until = value_of(&of->ejected_until), count = ejections_at(rule, of, at) + 1;
  if (count > MOST_EJECTIONS) count = MOST_EJECTIONS;
  i64 span = rule->base * count;
  i64 longest = rule->longest > rule->base ? rule->longest : rule->base;
  if (until > at || !swap(&of->ejected_until, &until, at + (span < longest ? span : longest))) return;
  set_to(&of->ejections, count);
}

// What became of an attempt.
void judge(request *r, const target *of, i64 status, boolean failed) {
  const ejection *rule = &r->plan->ejection;
  leave_place(r);
  if (!failed) {
    if (value_of(&of->standing->failures)) set_to(&of->standing->failures, 0);
  } else if (rule->failures > 0 && add_to(&of->standing->failures, 1) + 1 >= rule->failures) {
    set_to(&of->standing->failures, 0);
    eject(rule, of->standing, now());
  }
  count_attempt(r, of, status);
  publish(r, of);
}

void throttle(const target *of, i64 until) { set_to(&of->standing->throttled_until, until); }

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
