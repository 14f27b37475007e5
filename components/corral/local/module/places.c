// What a host takes at once and a minute, and requests that wait until it takes one more.
//
// A place that is free goes to whoever has waited for it longest: places of a host at which requests wait are taken and
// left under the lock of its queue, and who leaves one hands it on.  Who comes finds none while somebody waits for it.
// What fills by itself, the buckets of a minute, is watched by a timer of the main thread for as long as somebody waits,
// as are those whose time is up, and those whose host is left out or is in the plan no more: they go on without.
//
// A waiter is in its queue, under its lock, or was called by its scheduler, once.  Its own thread takes it out when its
// stream ends.

#include "log.h"

enum {
  TICK_MILLISECONDS = 10,
  MOST_WAITING = 1000, // for a model at a host
  ALL = 1 << 30,       // places, however many
};

struct queue {
  queue *next;
  text host; // owned
  i64 locked;
  waiter *first;
};

static queue *queues;
static void *timer, *waker; // Envoy's
static i64 watched;         // whether the timer runs, or is about to

// Called on the main thread alone, as plans are read there.
queue *queue_at(text host) {
  queue *of = queues;
  while (of && !same(of->host, host)) of = of->next;
  return of;
}

// False: there is no such host.
boolean add_overflow(plan *of, const text *f) {
  host *at = find_host(of, f[1]);
  i64 milliseconds = number(f[2]);
  if (!at || milliseconds < 1) return 0;
  if (!at->overflow.queue) {
    queue *fresh = at->overflow.queue = allocate(sizeof *fresh);
    *fresh = (queue){ .next = queues, .host = copy_of(at->name) };
    queues = fresh;
  }
  at->overflow.wait = milliseconds * 1000;
  return 1;
}

boolean is_left_out(const target *of, i64 at) {
  return value_of(&of->standing->ejected_until) > at || value_of(&of->standing->throttled_until) > at;
}

static boolean is_full(const capacity *of, i64 at) {
  if (of->concurrent >= 0 && value_of(&of->active->value) >= of->concurrent) return 1;
  for (u32 kind = 0; kind < RATES; kind++) {
    if (of->rates[kind].limit >= 0 && left_of(&of->rates[kind], at) < 1) return 1;
  }
  return 0;
}

boolean has_place(const target *of, i64 at) { return !is_full(&of->capacity, at) && !is_full(&of->host->capacity, at); }

static boolean take_of(const capacity *of) {
  if (of->concurrent < 0 || add_to(&of->active->value, 1) < of->concurrent) return 1;
  add_to(&of->active->value, -1); // another worker was faster
  return 0;
}

static void leave_of(const capacity *of) {
  if (of->concurrent >= 0) add_to(&of->active->value, -1);
}

static void use_request(const capacity *of, i64 at) {
  if (of->rates[REQUESTS].limit >= 0) use(&of->rates[REQUESTS], 1, at);
}

// Takes a place at a host, where there is one or it is asked all the same.
static boolean take(request *r, const target *of, boolean even_if_full, i64 at) {
  boolean own = take_of(&of->capacity), of_host = own && take_of(&of->host->capacity);
  if (own && !of_host) leave_of(&of->capacity);
  if (!of_host && !even_if_full) return 0;
  r->place = of_host ? of : 0;
  use_request(&of->capacity, at);
  use_request(&of->host->capacity, at);
  return 1;
}

// ---- a queue, under its lock

static void count_waiting(const waiter *of, i64 by) {
  buffer name = { 0, 0, 0 };
  add_names(&name, of->request, of->target);
  count(series_of(OF_WAITING, all_of(&name), 0), 0, by);
  free(name.p);
}

static void take_out(waiter **of, i64 at) {
  waiter *out = *of;
  *of = out->next;
  out->waited = at - out->since;
  count_waiting(out, -1);
}

static boolean goes_on(const waiter *of, i64 at) {
  return at >= of->until || is_left_out(of->target, at) || is_of_older_plan(of->target);
}

// Gives what is free, so many places at most, to those who have waited longest, and has those go on who wait no more.
static void serve(queue *of, u32 places) {
  i64 at = of->first ? now() : 0;
  for (waiter **each = &of->first; *each && places;) {
    waiter *first = *each;
    boolean goes = goes_on(first, at);
    if (goes || (has_place(first->target, at) && take(first->request, first->target, 0, at))) {
      places -= !goes;
      take_out(each, at);
      envoy(http_filter_scheduler_commit)(first->scheduler, 0);
    } else {
      each = &first->next;
    }
  }
}

// Behind all others; null: as many wait for that as may.
static waiter **end_of(queue *of, const target *at) {
  i64 own = at->capacity.concurrent, of_host = at->host->capacity.concurrent, count = 0;
  i64 places = own >= 0 ? own : of_host >= 0 ? of_host : MOST_WAITING;
  waiter **end = &of->first;
  for (; *end; end = &(*end)->next) count += (*end)->target->standing == at->standing;
  return count < places && count < MOST_WAITING ? end : 0;
}

static boolean enter(request *r, const target *of, void *filter) {
  waiter **end = end_of(of->host->overflow.queue, of);
  i64 at = now();
  if (!end) return 0;
  r->waiter = *end = allocate(sizeof **end);
  **end = (waiter){ .request = r, .target = of, .since = at, .until = at + of->host->overflow.wait, .waited = -1 };
  r->waiter->scheduler = envoy(http_filter_scheduler_new)(filter);
  count_waiting(r->waiter, 1);
  return 1;
}

// ---- places

boolean take_place(request *r, const target *of, boolean even_if_full) {
  queue *at_host = of->host->overflow.queue;
  if (!at_host) return take(r, of, even_if_full, now());
  lock(&at_host->locked);
  serve(at_host, ALL);
  i64 at = now();
  boolean taken = (even_if_full || has_place(of, at)) && take(r, of, even_if_full, at);
  unlock(&at_host->locked);
  return taken;
}

void leave_place(request *r) {
  const target *of = r->place;
  if (!of) return;
  queue *at_host = of->host->overflow.queue;
  if (at_host) lock(&at_host->locked);
  leave_of(&of->capacity);
  leave_of(&of->host->capacity);
  r->place = 0;
  if (!at_host) return;
  serve(at_host, 1);
  unlock(&at_host->locked);
}

// A place, or where the host has requests wait and may have one more, a place in its queue.
int take_or_await(request *r, const target *of, void *filter) {
  queue *at_host = of->host->overflow.queue;
  if (take_place(r, of, 0)) return PLACE_TAKEN;
  if (!of->host->overflow.wait) return NO_PLACE;
  lock(&at_host->locked);
  boolean waits = enter(r, of, filter);
  if (waits) serve(at_host, 1); // a place may have become free since
  unlock(&at_host->locked);
  i64 expected = 0;
  if (waits && waker && swap(&watched, &expected, 1)) envoy(bootstrap_extension_config_scheduler_commit)(waker, 0);
  return waits ? PLACE_AWAITED : NO_PLACE;
}

boolean is_waiting(const request *r) { return r->waiter && r->waiter->scheduler; }

void stop_waiting(request *r) {
  waiter *of = r->waiter;
  if (!is_waiting(r)) return;
  queue *at_host = of->target->host->overflow.queue;
  lock(&at_host->locked);
  waiter **each = &at_host->first;
  while (*each && *each != of) each = &(*each)->next;
  if (*each) take_out(each, now());
  unlock(&at_host->locked);
  envoy(http_filter_scheduler_delete)(of->scheduler);
  of->scheduler = 0;
}

// ---- the timer

void prepare_queues(void *config) {
  waker = envoy(bootstrap_extension_config_scheduler_new)(config);
  timer = envoy(bootstrap_extension_timer_new)(config);
}

void watch_queues(void) { envoy(bootstrap_extension_timer_enable)(timer, TICK_MILLISECONDS); }

boolean serve_queues(void *fired) {
  boolean some_wait = 0;
  i64 expected = 0;
  if (fired != timer) return 0;
  set_to(&watched, 0);
  for (queue *each = queues; each; each = each->next) {
    lock(&each->locked);
    serve(each, ALL);
    some_wait |= each->first != 0;
    unlock(&each->locked);
  }
  if (some_wait && swap(&watched, &expected, 1)) watch_queues();
  return 1;
}
