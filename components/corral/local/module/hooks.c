// What Envoy calls, by its own names for it; and bodies as Envoy holds them.

#include "log.h"

enum { MOST_SLICES = 64 };

static size size_of(void *filter, int kind) { return envoy(http_get_body_size)(filter, kind); }

// A body's bytes; they lie where Envoy has them if they are in one piece.
static void add_body(buffer *to, void *filter, int kind) {
  size n = envoy(http_get_body_chunks_size)(filter, kind);
  text few[MOST_SLICES], *slices = n > MOST_SLICES ? allocate(n * sizeof *slices) : few;
  if (n && envoy(http_get_body_chunks)(filter, kind, slices)) {
    for (size i = 0; i < n; i++) add(to, slices[i]);
  }
  if (slices != few) free(slices);
}

static boolean in_one_piece(void *filter, int kind, text *to) {
  return envoy(http_get_body_chunks_size)(filter, kind) == 1 && envoy(http_get_body_chunks)(filter, kind, to);
}

whole joined(text before, void *filter, int piece) {
  whole pieces = { .t = NO_TEXT };
  if (!before.n && in_one_piece(filter, piece, &pieces.t)) return pieces;
  buffer both = { 0, 0, 0 };
  add(&both, before);
  add_body(&both, filter, piece);
  return (whole){ all_of(&both), both.p };
}

whole whole_body(void *filter, int held, int piece) {
  whole pieces = { .t = NO_TEXT };
  if (!size_of(filter, held)) return joined(NO_TEXT, filter, piece);
  if (!size_of(filter, piece) && in_one_piece(filter, held, &pieces.t)) return pieces;
  buffer both = { 0, 0, 0 };
  add_body(&both, filter, held);
  add_body(&both, filter, piece);
  return (whole){ all_of(&both), both.p };
}

void replace_body(void *filter, int held, int piece, text by) {
  size n = size_of(filter, held);
  if (n) envoy(http_drain_body)(filter, held, n);
  n = size_of(filter, piece);
  if (n) envoy(http_drain_body)(filter, piece, n);
  if (by.n && !envoy(http_append_body)(filter, piece, by)) envoy(http_append_body)(filter, held, by);
}

void release_request(request *r) {
  if (!r || add_to(&r->references, -1) != 1) return;
  for (u32 i = 0; i < r->edit_count; i++) free((char *)r->edits[i].by.p);
  if (r->is_copy) end_copy(r);
  free((char *)r->endpoint.p);
  free((char *)r->id.p);
  release_answer(r->answer);
  release_plan(r->plan);
  free(r->waiter);
  free(r);
}

// A filter's configuration: the gateway's, or that of attempts.
typedef struct {
  boolean of_attempts;
  hidden hidden;
} config;

// Of a request that has no route, such as CONNECT: whoever sends it is refused.  It is never freed.
static plan *nobodys_plan;

typedef struct {
  const config *config;
  request *request; // of the gateway
  attempt attempt;
} filter;

const char *envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }

void *envoy_dynamic_module_on_http_filter_config_new(void *self, text name, text source) {
  (void)self;
  config *of = allocate(sizeof *of);
  of->of_attempts = same(name, T("attempt"));
  if (of->of_attempts) {
    read_hidden(&of->hidden, source);
    return of;
  }
  map_shapes(source);
  if (!nobodys_plan) nobodys_plan = plan_of(NO_TEXT);
  return of;
}

void envoy_dynamic_module_on_http_filter_config_destroy(void *of) {
  free((char *)((config *)of)->hidden.source.p);
  free(of);
}

// The plan's text, or the path of a file with it: Envoy takes several times as long over a long text as `plan_of`.
void *envoy_dynamic_module_on_http_filter_per_route_config_new(text name, text source) {
  (void)name;
  if (!source.n || source.p[0] != '/') return plan_of(source);
  text contents = contents_of(source);
  plan *of = contents.n ? plan_of(contents) : 0;
  free((char *)contents.p);
  return of;
}

void envoy_dynamic_module_on_http_filter_per_route_config_destroy(void *of) { release_plan(of); }

void *envoy_dynamic_module_on_http_filter_new(void *of, void *self) {
  (void)self;
  filter *fresh = allocate(sizeof *fresh);
  fresh->config = of;
  fresh->attempt.hidden = &fresh->config->hidden;
  return fresh;
}

void envoy_dynamic_module_on_http_filter_destroy(void *of) {
  filter *ending = of;
  if (ending->request) {
    settle(ending->request, 0);
    end(ending->request);
    stop_waiting(ending->request);
    leave_place(ending->request);
    withdraw_copy(ending->request);
    hide_shape(ending->request);
    ending->request->over = 1;
  }
  release_request(ending->request);
  end_attempt(&ending->attempt);
  free(ending);
}

int envoy_dynamic_module_on_http_filter_request_headers(void *self, void *of, boolean ended) {
  filter *f = of;
  if (f->config->of_attempts) return attempt_headers(&f->attempt, self);
  plan *in_force = envoy(get_most_specific_route_config)(self);
  if (!in_force) in_force = nobodys_plan;
  add_to(&in_force->references, 1);
  request *r = f->request = allocate(sizeof *r);
  r->references = 1;
  r->plan = in_force;
  envoy(http_set_dynamic_metadata_number)(self, T("corral"), T("request"), (double)(u64)r);
  return admit(r, self, ended);
}

static int admit_whole(request *r, void *self) {
  whole body = whole_body(self, REQUEST_HELD, REQUEST_PIECE);
  int then = admit_body(r, self, body.t);
  free(body.own);
  return then;
}

int envoy_dynamic_module_on_http_filter_request_body(void *self, void *of, boolean ended) {
  filter *f = of;
  if (f->config->of_attempts) return attempt_body(&f->attempt, self, ended);
  request *r = f->request;
  if (!r || !r->waits) return PASS;
  if (!ended) return HOLD;
  if (admit_whole(r, self) == CONTINUE) return PASS;
  return r->waiter ? HOLD : STOP_WITHOUT_HOLDING;
}

int envoy_dynamic_module_on_http_filter_request_trailers(void *self, void *of) {
  filter *f = of;
  if (f->config->of_attempts) {
    attempt_body(&f->attempt, self, 1);
    return CONTINUE;
  }
  request *r = f->request;
  return r && r->waits ? admit_whole(r, self) : CONTINUE;
}

// It has waited long enough: for a place, or in vain.
void envoy_dynamic_module_on_http_filter_scheduled(void *self, void *of, u64 event) {
  filter *f = of;
  (void)event;
  stop_waiting(f->request);
  envoy(http_clear_route_cluster_cache)(self);
  envoy(http_filter_continue_decoding)(self);
}

int envoy_dynamic_module_on_http_filter_response_headers(void *self, void *of, boolean ended) {
  filter *f = of;
  if (f->config->of_attempts) return attempt_answer(&f->attempt, self, ended);
  return f->request ? answer_headers(f->request, self, ended) : CONTINUE;
}

int envoy_dynamic_module_on_http_filter_response_body(void *self, void *of, boolean ended) {
  filter *f = of;
  if (f->config->of_attempts) return attempt_answer_body(&f->attempt, self, ended);
  return f->request ? answer_body(f->request, self, ended) : PASS;
}

// Hosts are spoken to in HTTP/1.1, of which Envoy drops the trailers.
int envoy_dynamic_module_on_http_filter_response_trailers(void *self, void *of) {
  (void)self;
  (void)of;
  return CONTINUE;
}

void envoy_dynamic_module_on_http_filter_stream_complete(void *self, void *of) {
  filter *f = of;
  if (!f->request) return;
  stop_waiting(f->request);
  settle(f->request, self);
  end(f->request);
  record_served(f->request);
  abandon_attempt(f->request, self);
  f->request->over = 1;
}

// The cluster specifier, which Envoy asks for the cluster of each attempt.  Its configuration is nothing: a request keeps
// the plan it began with.
void *envoy_dynamic_module_on_cluster_specifier_config_new(void *self, text name, text source) {
  (void)name;
  (void)source;
  return self;
}

void envoy_dynamic_module_on_cluster_specifier_config_destroy(void *of) { (void)of; }

boolean envoy_dynamic_module_on_cluster_specifier_select(void *of, void *context) {
  (void)of;
  double address;
  char digits[24];
  if (!envoy(cluster_specifier_get_dynamic_metadata_number)(context, T("corral"), T("request"), &address)) return 0;
  request *r = (request *)(u64)address;
  if (!r->admitted || is_waiting(r) || !choose(r, context)) return 0;
  envoy(cluster_specifier_set_cluster_name)(context, r->target->host->cluster);
  text hosts = digits_of(count_of(r->allowed), digits);
  if (!r->copy) {
    envoy(cluster_specifier_set_route_action_override)(context, hosts);
    return 1;
  }
  buffer copied = { 0, 0, 0 };
  add(&copied, hosts);
  add(&copied, r->model->mirror->target.host->cluster);
  envoy(cluster_specifier_set_route_action_override)(context, all_of(&copied));
  free(copied.p);
  return 1;
}

// The log.  Envoy has a logger for each worker, and asks it while the request is still there.
void *envoy_dynamic_module_on_access_logger_config_new(void *self, text name, text path) {
  (void)name;
  write_log_to(path);
  return self;
}

void envoy_dynamic_module_on_access_logger_config_destroy(void *of) { (void)of; }

void *envoy_dynamic_module_on_access_logger_new(void *config, void *self) {
  (void)config;
  (void)self;
  return allocate(sizeof(logger));
}

void envoy_dynamic_module_on_access_logger_log(void *self, void *of, int kind) {
  (void)kind;
  double address;
  boolean is_known = envoy(access_logger_get_dynamic_metadata_number)(self, T("corral"), T("request"), &address);
  log_request(of, self, is_known ? (request *)(u64)address : 0);
}

void envoy_dynamic_module_on_access_logger_flush(void *of) {
  (void)of;
  write_log();
}

void envoy_dynamic_module_on_access_logger_destroy(void *of) { release_logger(of); }

// What runs for as long as Envoy does: writes the log, and tells who asks the admin interface what was counted.
typedef struct {
  void *config, *self, *timer;
} extension;

enum { LOG_MILLISECONDS = 500 };

void *envoy_dynamic_module_on_bootstrap_extension_config_new(void *self, text name, text source) {
  (void)name;
  (void)source;
  extension *of = allocate(sizeof *of);
  of->config = self;
  envoy(bootstrap_extension_config_signal_init_complete)(self);
  return of;
}

void envoy_dynamic_module_on_bootstrap_extension_config_destroy(void *of) { free(of); }

void *envoy_dynamic_module_on_bootstrap_extension_new(void *config, void *self) {
  extension *of = config;
  of->self = self;
  return of;
}

void envoy_dynamic_module_on_bootstrap_extension_destroy(void *of) { (void)of; }

void envoy_dynamic_module_on_bootstrap_extension_server_initialized(void *self, void *module) {
  (void)self;
  extension *of = module;
  envoy(bootstrap_extension_register_admin_handler)(of->config, T("/corral"), T("what was counted"), 0, 0);
  prepare_queues(of->config);
  of->timer = envoy(bootstrap_extension_timer_new)(of->config);
  envoy(bootstrap_extension_timer_enable)(of->timer, LOG_MILLISECONDS);
}

void envoy_dynamic_module_on_bootstrap_extension_timer_fired(void *config, void *module, void *timer) {
  (void)config;
  (void)module;
  if (serve_queues(timer)) return;
  write_log();
  envoy(bootstrap_extension_timer_enable)(timer, LOG_MILLISECONDS);
}

// By a worker of which a request waits.
void envoy_dynamic_module_on_bootstrap_extension_config_scheduled(void *config, void *module, u64 event) {
  (void)config;
  (void)module;
  (void)event;
  watch_queues();
}

// `/corral`, or `/corral?times` for the bins of times as well, in the form of Envoy's own `/stats`.
u32 envoy_dynamic_module_on_bootstrap_extension_admin_request(void *config, void *module, text method, text path,
                                                              text body) {
  (void)method;
  (void)body;
  const extension *of = module;
  buffer to = { 0, 0, 0 };
  u64 active = 0;
  add(&to, T("{\"stats\":["));
  add_series(&to, 0);
  envoy(bootstrap_extension_get_gauge_value)(of->self, T("http.gateway.downstream_rq_active"), &active);
  add(&to, to.p[to.n - 1] == '[' ? NO_TEXT : T(","));
  add(&to, T("{\"name\":\"http.gateway.downstream_rq_active\",\"value\":"));
  add_number(&to, (i64)active);
  add(&to, T("}"));
  if (has(path, T("times"))) {
    add(&to, T(",{\"histograms\":{\"details\":["));
    add_series(&to, 1);
    add(&to, T("]}}"));
  }
  add(&to, T("]}"));
  envoy(bootstrap_extension_admin_set_response)(config, all_of(&to));
  free(to.p);
  return 200;
}

void envoy_dynamic_module_on_bootstrap_extension_shutdown(void *self, void *module, void (*done)(void *), void *context) {
  (void)self;
  (void)module;
  write_log();
  done(context);
}

int envoy_dynamic_module_on_http_filter_local_reply(void *self, void *of, u32 status, text details, boolean resets) {
  (void)self;
  (void)of;
  (void)status;
  (void)details;
  (void)resets;
  return 0;
}

// Hooks that Envoy looks for, and that nothing here asks for.
#define UNUSED(name) \
  void envoy_dynamic_module_on_http_filter_##name(void) {}
#define UNUSED_OF_EXTENSION(name) \
  void envoy_dynamic_module_on_bootstrap_extension_##name(void) {}
UNUSED(http_callout_done)
UNUSED(http_stream_headers)
UNUSED(http_stream_data)
UNUSED(http_stream_trailers)
UNUSED(http_stream_complete)
UNUSED(http_stream_reset)
UNUSED(config_scheduled)
UNUSED(config_http_callout_done)
UNUSED(config_http_stream_headers)
UNUSED(config_http_stream_data)
UNUSED(config_http_stream_trailers)
UNUSED(config_http_stream_complete)
UNUSED(config_http_stream_reset)
UNUSED(downstream_above_write_buffer_high_watermark)
UNUSED(downstream_below_write_buffer_low_watermark)
UNUSED_OF_EXTENSION(worker_thread_initialized)
UNUSED_OF_EXTENSION(drain_started)
UNUSED_OF_EXTENSION(http_callout_done)
UNUSED_OF_EXTENSION(file_changed)
UNUSED_OF_EXTENSION(cluster_add_or_update)
UNUSED_OF_EXTENSION(cluster_removal)
UNUSED_OF_EXTENSION(listener_add_or_update)
UNUSED_OF_EXTENSION(listener_removal)
