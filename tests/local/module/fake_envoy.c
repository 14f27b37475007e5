// Stands in for Envoy, for tests of the module: the headers, bodies and metadata of one stream, and a clock that stands.
//
// Each piece of a body lies in memory of its own, so that a sanitizer sees what is read beside it.

#include "log.h"

enum { MOST_ENTRIES = 64 };

boolean envoy_dynamic_module_on_cluster_specifier_select(void *of, void *context);

typedef struct {
  text space, key;
  double number;
} entry;

typedef struct {
  text *pieces; // owned, as each of them is
  size count, room;
} body;

typedef struct {
  header headers[3][MOST_ENTRIES];
  size header_count[3];
  body bodies[4];
  entry metadata[MOST_ENTRIES];
  size metadata_count;
  u32 status; // that the module has answered with
  text answer;
  boolean rerouted;
  void *plan;
  text cluster, override, details; // the last is a constant
  i64 scheduled;
  boolean continued;
  u32 final_status;
  u64 flags;
  i64 duration;
} stream;

static i64 time_now;
static text unresolved; // a cluster of which no address is known

i64 now(void) { return time_now; }
void fake_time(i64 at) { time_now = at; }
i64 *fake_level(const char *name, size n) { return &level_of((text){ name, n })->value; }

// Threads that hold a tenant's money and settle for less, or for all of it.
int pthread_create(u64 *, const void *, void *(*)(void *), void *);
int pthread_join(u64, void **);

typedef struct {
  const budget *budget;
  i64 amount, turns, seed, admitted, spent, settles;
} racer;

static i64 waiting; // for the others

static void *race(void *of) {
  racer *each = of;
  u64 state = (u64)each->seed * 7919 + 1;
  add_to(&waiting, -1);
  while (value_of(&waiting) > 0) sched_yield();
  for (i64 i = 0; i < each->turns; i++) {
    held held;
    u32 full;
    i64 left;
    if (!hold_money(each->budget, each->amount, time_now, &held, &full, &left)) continue;
    each->admitted++;
    state = state * 6364136223846793005u + 1442695040888963407u;
    i64 cost = each->settles ? (i64)((state >> 33) % (u64)(each->amount + 1)) : each->amount;
    settle_money(each->budget, &held, cost);
    each->spent += cost;
  }
  return 0;
}

// How many were let through, and what they have cost.
i64 fake_race(plan *of, text name, i64 threads, i64 turns, i64 amount, i64 settles, i64 *spent) {
  racer racers[64];
  u64 ids[64];
  i64 admitted = 0;
  set_to(&waiting, threads);
  for (i64 i = 0; i < threads; i++) {
    racers[i] = (racer){ find_tenant(of, name)->budget, amount, turns, i, 0, 0, settles };
    if (pthread_create(&ids[i], 0, race, &racers[i])) abort();
  }
  for (i64 i = 0; i < threads; i++) {
    pthread_join(ids[i], 0);
    admitted += racers[i].admitted;
    *spent += racers[i].spent;
  }
  return admitted;
}

void *fake_new(void *plan) {
  stream *s = allocate(sizeof *s);
  s->plan = plan;
  return s;
}

// Threads that want places at the first host of a model, wait for them, and leave at times while they wait.
typedef struct {
  plan *plan;
  model *model;
  i64 turns, seed, held, waited;
  i64 *at_once, *most;
} contender;

boolean fake_scheduled(stream *s);

static void *contend(void *of) {
  contender *each = of;
  u64 state = (u64)each->seed * 7919 + 1;
  add_to(&waiting, -1);
  while (value_of(&waiting) > 0) sched_yield();
  for (i64 i = 0; i < each->turns; i++) {
    stream *s = fake_new(each->plan);
    request *r = allocate(sizeof *r);
    *r = (request){ .references = 1, .plan = each->plan, .model = each->model, .allowed = 1 };
    add_to(&each->plan->references, 1);
    state = state * 6364136223846793005u + 1442695040888963407u;
    boolean leaves = (state >> 33) % 4 == 0;
    if (!find_place(r, s)) {
      each->waited++;
      while (!fake_scheduled(s) && !leaves) sched_yield();
    }
    stop_waiting(r);
    if (r->place) {
      i64 others = add_to(each->at_once, 1), most = value_of(each->most);
      while (others + 1 > most && !swap(each->most, &most, others + 1)) {
      }
      sched_yield();
      each->held++;
      add_to(each->at_once, -1);
    }
    leave_place(r);
    release_request(r);
    free(s);
  }
  return 0;
}

// How often a place was held, by how many at once at most, and how often one was waited for.
i64 fake_contend(plan *of, text name, i64 threads, i64 turns, i64 *most, i64 *waited) {
  contender all[64];
  u64 ids[64];
  i64 held = 0, at_once = 0;
  set_to(&waiting, threads);
  for (i64 i = 0; i < threads; i++) {
    all[i] = (contender){ of, find_model(of, name), turns, i, 0, 0, &at_once, most };
    if (pthread_create(&ids[i], 0, contend, &all[i])) abort();
  }
  for (i64 i = 0; i < threads; i++) {
    pthread_join(ids[i], 0);
    held += all[i].held;
    *waited += all[i].waited;
  }
  return held;
}

static void add_piece(body *to, text piece) {
  if (to->count == to->room) {
    to->room = to->room * 2 + 8;
    to->pieces = realloc(to->pieces, to->room * sizeof *to->pieces);
    if (!to->pieces) abort();
  }
  to->pieces[to->count++] = piece;
}

static void drop(text *t) {
  free((char *)t->p);
  *t = NO_TEXT;
}

void fake_free(stream *s) {
  for (int kind = 0; kind < 3; kind++) {
    for (size i = 0; i < s->header_count[kind]; i++) {
      drop(&s->headers[kind][i].key);
      drop(&s->headers[kind][i].value);
    }
  }
  for (int kind = 0; kind < 4; kind++) {
    for (size i = 0; i < s->bodies[kind].count; i++) drop(&s->bodies[kind].pieces[i]);
    free(s->bodies[kind].pieces);
  }
  for (size i = 0; i < s->metadata_count; i++) {
    drop(&s->metadata[i].space);
    drop(&s->metadata[i].key);
  }
  drop(&s->answer);
  drop(&s->cluster);
  drop(&s->override);
  free(s);
}

void fake_add_header(stream *s, int kind, text key, text value) {
  if (s->header_count[kind] == MOST_ENTRIES) abort();
  s->headers[kind][s->header_count[kind]++] = (header){ copy_of(key), copy_of(value) };
}

size fake_headers(stream *s, int kind, header **to) {
  *to = s->headers[kind];
  return s->header_count[kind];
}

void fake_clear_headers(stream *s, int kind) {
  while (s->header_count[kind]) {
    header *last = &s->headers[kind][--s->header_count[kind]];
    drop(&last->key);
    drop(&last->value);
  }
}

void fake_add_piece(stream *s, int kind, text piece) {
  if (piece.n) add_piece(&s->bodies[kind], copy_of(piece));
}

void fake_hold(stream *s, int held, int piece) {
  body *from = &s->bodies[piece], *to = &s->bodies[held];
  for (size i = 0; i < from->count; i++) add_piece(to, from->pieces[i]);
  from->count = 0;
}

// What passes on; the caller has it until the next piece.
text fake_take(stream *s, int held, int piece) {
  static buffer taken;
  taken.n = 0;
  for (int turn = 0; turn < 2; turn++) {
    body *from = &s->bodies[turn ? piece : held];
    for (size i = 0; i < from->count; i++) {
      add(&taken, from->pieces[i]);
      drop(&from->pieces[i]);
    }
    from->count = 0;
  }
  return all_of(&taken);
}

boolean fake_selected(stream *s, text *cluster, text *override) {
  drop(&s->cluster);
  drop(&s->override);
  boolean selected = envoy_dynamic_module_on_cluster_specifier_select(0, s);
  *cluster = s->cluster;
  *override = s->override;
  return selected;
}

void fake_details(stream *s, const char *details, size n) { s->details = (text){ details, n }; }

void fake_unresolved(text cluster) {
  drop(&unresolved);
  unresolved = copy_of(cluster);
}

// What was counted, until the next time.
text fake_series(boolean times) {
  static buffer series;
  series.n = 0;
  add(&series, T("["));
  add_series(&series, times);
  add(&series, T("]"));
  return all_of(&series);
}

void fake_ended(stream *s, u32 status, u64 flags, i64 duration) {
  s->final_status = status;
  s->flags = flags;
  s->duration = duration;
}

u64 fake_allowed(stream *s) {
  double address = 0;
  envoy(http_get_metadata_number)(s, DYNAMIC_METADATA, T("corral"), T("request"), &address);
  return ((request *)(u64)address)->allowed;
}

// Whether its thread was called, since the last time.
boolean fake_scheduled(stream *s) {
  i64 expected = 1;
  return swap(&s->scheduled, &expected, 0);
}

boolean fake_continued(stream *s) { return s->continued; }

u32 fake_answer(stream *s, text *to, boolean *rerouted) {
  *to = s->answer;
  *rerouted = s->rerouted;
  return s->status;
}

// ---- Envoy's side of the ABI

size envoy(http_get_headers_size)(void *s, int kind) { return ((stream *)s)->header_count[kind]; }

boolean envoy(http_get_headers)(void *s, int kind, header *to) {
  stream *of = s;
  memcpy(to, of->headers[kind], of->header_count[kind] * sizeof *to);
  return 1;
}

boolean envoy(http_get_header)(void *s, int kind, text key, text *to, size at, size *count) {
  stream *of = s;
  (void)at;
  *count = 0;
  for (size i = 0; i < of->header_count[kind]; i++) {
    if (!same(of->headers[kind][i].key, key)) continue;
    if (!(*count)++) *to = of->headers[kind][i].value;
  }
  return *count > 0;
}

boolean envoy(http_set_header)(void *s, int kind, text key, text value) {
  stream *of = s;
  size kept = 0;
  text fresh_key = copy_of(key), fresh = value.p ? copy_of(value) : NO_TEXT;
  for (size i = 0; i < of->header_count[kind]; i++) {
    header each = of->headers[kind][i];
    if (same(each.key, fresh_key)) {
      drop(&each.key);
      drop(&each.value);
    } else {
      of->headers[kind][kept++] = each;
    }
  }
  of->header_count[kind] = kept;
  if (fresh.p) fake_add_header(of, kind, fresh_key, fresh);
  drop(&fresh_key);
  drop(&fresh);
  return 1;
}

boolean envoy(http_add_header)(void *s, int kind, text key, text value) {
  fake_add_header(s, kind, key, value);
  return 1;
}

void envoy(http_send_response)(void *s, u32 status, header *list, size count, text said, text details) {
  stream *of = s;
  (void)details;
  if (of->status) abort(); // one answer is enough
  of->status = status;
  of->answer = copy_of(said);
  for (size i = 0; i < count; i++) fake_add_header(of, 1, list[i].key, list[i].value);
}

size envoy(http_get_body_size)(void *s, int kind) {
  size n = 0;
  body *of = &((stream *)s)->bodies[kind];
  for (size i = 0; i < of->count; i++) n += of->pieces[i].n;
  return n;
}

size envoy(http_get_body_chunks_size)(void *s, int kind) { return ((stream *)s)->bodies[kind].count; }

boolean envoy(http_get_body_chunks)(void *s, int kind, text *to) {
  body *of = &((stream *)s)->bodies[kind];
  memcpy(to, of->pieces, of->count * sizeof *to);
  return of->count > 0;
}

boolean envoy(http_append_body)(void *s, int kind, text piece) {
  fake_add_piece(s, kind, piece);
  return 1;
}

boolean envoy(http_drain_body)(void *s, int kind, size n) {
  body *of = &((stream *)s)->bodies[kind];
  size kept = 0;
  for (size i = 0; i < of->count; i++) {
    text each = of->pieces[i];
    size gone = each.n < n ? each.n : n;
    n -= gone;
    if (gone < each.n) of->pieces[kept++] = copy_of(part(each, gone, each.n));
    drop(&each);
  }
  of->count = kept;
  return 1;
}

static entry *metadata_of(stream *s, text space, text key) {
  for (size i = 0; i < s->metadata_count; i++) {
    if (same(s->metadata[i].space, space) && same(s->metadata[i].key, key)) return &s->metadata[i];
  }
  return 0;
}

static entry *set_metadata(stream *s, text space, text key) {
  entry *of = metadata_of(s, space, key);
  if (!of) {
    if (s->metadata_count == MOST_ENTRIES) abort();
    of = &s->metadata[s->metadata_count++];
    *of = (entry){ .space = copy_of(space), .key = copy_of(key) };
  }
  return of;
}

void envoy(http_set_dynamic_metadata_number)(void *s, text space, text key, double value) {
  set_metadata(s, space, key)->number = value;
}

boolean envoy(http_get_metadata_number)(void *s, int source, text space, text key, double *to) {
  entry *of = source == DYNAMIC_METADATA ? metadata_of(s, space, key) : 0;
  if (of) *to = of->number;
  return of != 0;
}

boolean envoy(http_filter_get_attribute_string)(void *s, int attribute, text *to) {
  if (attribute != RESPONSE_CODE_DETAILS) abort();
  *to = ((stream *)s)->details;
  return to->n > 0;
}

boolean envoy(http_set_filter_state_bytes)(void *s, text key, text value) {
  (void)s, (void)key, (void)value;
  return 1;
}

void envoy(http_clear_route_cache)(void *s) { ((stream *)s)->rerouted = 1; }

void envoy(http_clear_route_cluster_cache)(void *s) { ((stream *)s)->rerouted = 1; }

void *envoy(http_filter_scheduler_new)(void *s) {
  void **fresh = allocate(sizeof *fresh);
  *fresh = s;
  return fresh;
}

void envoy(http_filter_scheduler_delete)(void *scheduler) { free(scheduler); }

void envoy(http_filter_scheduler_commit)(void *scheduler, u64 event) {
  stream *of = *(void **)scheduler;
  if (event || value_of(&of->scheduled)) abort(); // once is enough
  set_to(&of->scheduled, 1);
}

void envoy(http_filter_continue_decoding)(void *s) { ((stream *)s)->continued = 1; }

void *envoy(get_most_specific_route_config)(void *s) { return ((stream *)s)->plan; }

boolean envoy(access_logger_get_dynamic_metadata_number)(void *s, text space, text key, double *to) {
  return envoy(http_get_metadata_number)(s, DYNAMIC_METADATA, space, key, to);
}

boolean envoy(access_logger_get_header_value)(void *s, int kind, text key, text *to, size at, size *count) {
  return envoy(http_get_header)(s, kind, key, to, at, count);
}

u32 envoy(access_logger_get_response_code)(void *s) { return ((stream *)s)->final_status; }

u32 envoy(access_logger_get_attempt_count)(void *s) {
  (void)s;
  return 0;
}

u64 envoy(access_logger_get_response_flags)(void *s) { return ((stream *)s)->flags; }

void envoy(access_logger_get_timing_info)(void *s, i64 *to) {
  to[0] = time_now * 1000;
  to[1] = ((stream *)s)->duration;
}

void envoy(bootstrap_extension_config_signal_init_complete)(void *config) { (void)config; }

boolean envoy(bootstrap_extension_register_admin_handler)(void *config, text path, text help, boolean goes,
                                                          boolean changes) {
  (void)config, (void)path, (void)help, (void)goes, (void)changes;
  return 1;
}

void envoy(bootstrap_extension_admin_set_response)(void *config, text body) { (void)config, (void)body; }

boolean envoy(bootstrap_extension_get_gauge_value)(void *self, text name, u64 *to) {
  (void)self, (void)name, (void)to;
  return 0;
}

void *envoy(bootstrap_extension_config_scheduler_new)(void *config) { return config; }

void envoy(bootstrap_extension_config_scheduler_commit)(void *scheduler, u64 event) { (void)scheduler, (void)event; }

void *envoy(bootstrap_extension_timer_new)(void *config) { return config; }

void envoy(bootstrap_extension_timer_enable)(void *timer, u64 milliseconds) { (void)timer, (void)milliseconds; }

boolean envoy(cluster_specifier_get_dynamic_metadata_number)(void *s, text space, text key, double *to) {
  return envoy(http_get_metadata_number)(s, DYNAMIC_METADATA, space, key, to);
}

boolean envoy(cluster_specifier_get_cluster_host_count)(void *s, text cluster, u32 priority, size *total, size *healthy,
                                                        size *degraded) {
  (void)s, (void)priority, (void)healthy, (void)degraded;
  *total = 1;
  return !same(cluster, unresolved);
}

void envoy(cluster_specifier_set_cluster_name)(void *s, text cluster) { ((stream *)s)->cluster = copy_of(cluster); }

boolean envoy(cluster_specifier_set_route_action_override)(void *s, text name) {
  ((stream *)s)->override = copy_of(name);
  return 1;
}
