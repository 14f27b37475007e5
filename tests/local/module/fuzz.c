// Whatever plans, requests and answers come, however they are cut, the module reads nothing beside them and loses no
// memory: built with AddressSanitizer and UBSan, which end it if it does.  `fuzz SEED SECONDS BUDGETS` prints how much it has
// seen; BUDGETS is a file of budgets.

#include "corral.h"

int printf(const char *, ...);
int atoi(const char *);
i64 time(i64 *);
size strlen(const char *);

void fake_time(i64 at);
void *fake_new(void *plan);
void fake_free(void *s);
void fake_add_header(void *s, int kind, text key, text value);
void fake_clear_headers(void *s, int kind);
void fake_add_piece(void *s, int kind, text piece);
void fake_hold(void *s, int held, int piece);
text fake_take(void *s, int held, int piece);
boolean fake_selected(void *s, text *cluster, text *override);
boolean fake_scheduled(void *s);
void fake_details(void *s, const char *details, size n);
void fake_unresolved(text cluster);
void fake_ended(void *s, u32 status, u64 flags, i64 duration);
text fake_series(boolean times);

#define HOOK(type, name) type envoy_dynamic_module_on_http_filter_##name
HOOK(void *, config_new)(void *, text, text);
HOOK(void, config_destroy)(void *);
HOOK(void *, per_route_config_new)(text, text);
HOOK(void, per_route_config_destroy)(void *);
HOOK(void *, new)(void *, void *);
HOOK(void, destroy)(void *);
HOOK(int, request_headers)(void *, void *, boolean);
HOOK(int, request_body)(void *, void *, boolean);
HOOK(int, response_headers)(void *, void *, boolean);
HOOK(int, response_body)(void *, void *, boolean);
HOOK(void, stream_complete)(void *, void *);
HOOK(void, scheduled)(void *, void *, u64);
#define hook(name) envoy_dynamic_module_on_http_filter_##name
void *envoy_dynamic_module_on_access_logger_new(void *, void *);
void envoy_dynamic_module_on_access_logger_log(void *, void *, int);
void envoy_dynamic_module_on_access_logger_destroy(void *);

static u64 state;

static u32 drawn(u32 below) { // xorshift
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (u32)(state >> 11) % below;
}

#define ONE_OF(array) (array)[drawn(COUNT(array))]

static const text PLAN = T(
  "tenant\tsearch\teu\t9\t3\t4000\t50\t2000\t0\nbudget\t1\t900\t9000\t0\ngrant\tm\t1\t7\t900\ngrant\tn\t0\t\t\ntenant\tfree"
  "\t\t\t\t\t\t\t1\nbudget\t2\t\t1\t1\n"
  "key\t2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\tsearch\n"
  "key\tfcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9\tfree\n"
  "claim\tissuer\trealm.team\nvoucher\tissuer\t7\tsearch\nvoucher\tissuer\ta\\tb\\\\\tfree\n"
  "ejection\t2\t1000\t30000\t100\nhost\ta\thost/a@1\t127.0.0.1:9\t/v1\tauthorization\t/proc/version\t2\t9\t900\n"
  "host\tb\thost/b@2\tb\t\nhost\tc\thost/c@3\tc\t/v1/\tapi-key\t/proc/version\n"
  "overflow\ta\t40\nhint\ta\tx-session-affinity\nhint\tb\t\tprompt_cache_"
  "key\ntrace\tabc\t1\nmodel\tm\t3\t0123\ntarget\ta\t60\t0\t\"an-id-"
  "of-some-"
  "length\"\t\t1\t2\t100\nprice\t720000\t999999999999\t\t4000\t10\ntarget\tb\t40\t0\t\"\\\\u0041\"\tA\ntarget\tc\t100\t1\t"
  "\"m\"\nprice\t1\t2\t0\t999999999999999\t999999999999999\n"
  "residency\teu\t5\nlack\ttools\t1\ttools\nlack\tvision\t2\tvision\nlack\timageUrls\t2\timages by URL\n"
  "lack\tseed\t4\tseed\noutput\t100\t1\noutput\t4000\t4\naffinity\t\nmirror\tc\t60\t0\t\"a-"
  "candidate\"\t\t3\nunmirrored\teu\nmodel\tn\t1\ntarget\tb\t100\t0\t\"n\"");
static const text OPEN = T("open\t5\nhost\ta\thost/a@1\ta\t\noverflow\ta\t90\nmodel\tm\t1\ntarget\ta\t100\t0\t\"m\""
                           "\t\t1\t3");

static const text REQUESTS_SENT[] = {
  T("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a \\\\\\\" b {[ "
    "\"}],\"stream\":true,\"max_tokens\":5000}"),
  T(" { \"a\" : -1.5e3 , \"model\" : \"m\", \"tools\":[{}], \"seed\":1 } "),
  T("{\"stream_options\":{\"a\":1 , "
    "\"include_usage\":false},\"stream\":true,\"model\":\"m\",\"n\":2,\"max_tokens\":900000}"),
  T("{\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x\"}}]}],\"model\":\"n\"}"),
  T("{\"prompt\":[\"a\", "
    "[1,2],\"b\"],\"model\":\"m\",\"best_of\":9e300,\"n\":1e9,\"input\":[[1],[\"x\"]],\"max_tokens\":0}"),
  T("{\"model\":\"mod\\u0065l\\/\",\"response_format\":{\"type\":\"json_schema\"},\"tool_choice\":{}}"),
};
static const text EVENTS[] = {
  T("data: {\"model\":\"Its/Own\",\"choices\": [{\"delta\":{\"content\":\"hi\"}}]}\n\n"),
  T("data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 4, \"cached_tokens\":9}}\r\n\r\n"),
  T("data: [DONE]\n\n"),
  T("data: {\"choices\":[],\"usage\":null,\"error\":{\"message\":\"no\"}}\n\n"),
  T(": a comment\n\n"),
  T("{\"model\":\"Its/Own\",\"choices\":[{}],\"usage\":{\"input_tokens\":99999999999999999999,\"output_tokens\":1}}"),
};
static const text PATHS[] = { T("/v1/chat/completions?a=b"),
                              T("/v1/completions"),
                              T("/v1/rerank"),
                              T("/v1/responses"),
                              T("/v1/embeddings"),
                              T("/v1/models/%6d%"),
                              T("/v1/models"),
                              T("/health"),
                              T("") };
static const text KEYS[] = { T("Bearer foo"), T("bearer  bar "), T("Bearer a.b.c"), T("Basic x"), T("") };
static const text CLAIMS[] = { T("{\"iss\":\"issuer\",\"realm\":{\"team\":[1,[\"x\"],\"a\\tb\\\\\",7]},\"x\":\"\\u0041\"}"),
                               T("{\"iss\":\"issuer\",\"realm\":7}") };
static const text KINDS[] = { T("application/json"), T("text/event-stream"), T("TEXT/EVENT-STREAM; x"), T("text/html"),
                              T("") };
static const text STATUS[] = { T("200"), T("200"), T("200"), T("400"), T("429"), T("302"), T("503"), T("") };
static const text RETRY[] = { T("3"), T("99999999999999999999"), T("Sun, 06 Nov 2094 08:49:37 GMT"), T("Sun, 06 N"),
                              T("") };
static const text HOST_HEADERS[] = { T("set-cookie"), T("x-corral-unsupported"), T("x-corral-host"), T("a") };
static const char BYTES[] = "{}[]\",:\\ a0\n\r\t-.e%/\xff";

// The text with some of its bytes other ones, cut off, or as it is.
static void mutate(buffer *to, text of) {
  to->n = 0;
  add(to, of);
  if (drawn(2)) return;
  for (u32 i = drawn(5); i && to->n; i--) to->p[drawn((u32)to->n)] = BYTES[drawn(sizeof BYTES - 1)];
  if (to->n && !drawn(3)) to->n = drawn((u32)to->n + 1);
}

static buffer scratch;

static void add_header_to(void *s, int kind, text name, text value) {
  mutate(&scratch, value);
  if (scratch.n) fake_add_header(s, kind, name, all_of(&scratch));
}

typedef int body_hook(void *, void *, boolean);

static void run_body(void *s, void *filter, body_hook *body, int piece, text whole) {
  for (size at = 0; at < whole.n;) {
    size n = drawn(3) ? 1 + drawn(40) : whole.n;
    if (n > whole.n - at) n = whole.n - at;
    fake_add_piece(s, piece, part(whole, at, at + n));
    at += n;
    if (at < whole.n && !drawn(200)) return; // it breaks off
    if (body(s, filter, at == whole.n) == HOLD) {
      fake_hold(s, piece + 1, piece);
    } else {
      fake_take(s, piece + 1, piece);
    }
  }
}

static void answer_with(void *s, void *filter, text body) {
  fake_clear_headers(s, RESPONSE_HEADERS);
  add_header_to(s, RESPONSE_HEADERS, T(":status"), ONE_OF(STATUS));
  add_header_to(s, RESPONSE_HEADERS, T("content-type"), ONE_OF(KINDS));
  add_header_to(s, RESPONSE_HEADERS, T("retry-after"), ONE_OF(RETRY));
  for (u32 i = drawn(3); i; i--) add_header_to(s, RESPONSE_HEADERS, ONE_OF(HOST_HEADERS), T("a"));
  hook(response_headers)(s, filter, !body.n);
  run_body(s, filter, hook(response_body), RESPONSE_PIECE, body);
}

static void some_events(buffer *to) {
  buffer one = { 0, 0, 0 };
  to->n = 0;
  for (u32 i = drawn(7); i; i--) {
    mutate(&one, ONE_OF(EVENTS));
    add(to, all_of(&one));
  }
  free(one.p);
}

static void *log_of_all;

static void be_over(void *s, void *filter) {
  hook(stream_complete)(s, filter);
  fake_ended(s, drawn(600), (u64)drawn(1 << 30) >> drawn(30), (i64)drawn(1u << 31) * (drawn(9) ? 1000 : -1));
  envoy_dynamic_module_on_access_logger_log(s, log_of_all, 0);
}

// The request's copy, if there is one, in a stream of its own.
static void copied_request(void *s, void *attempts, void *plan, text sent, buffer *body) {
  text number = NO_TEXT;
  size count = 0;
  if (!envoy(http_get_header)(s, REQUEST_HEADERS, T("x-corral-mirror"), &number, 0, &count) || !drawn(4)) return;
  void *own = fake_new(plan), *attempt = hook(new)(attempts, own);
  fake_add_header(own, REQUEST_HEADERS, T("x-corral-mirror"), number);
  hook(request_headers)(own, attempt, !sent.n);
  run_body(own, attempt, hook(request_body), REQUEST_PIECE, sent);
  some_events(body);
  if (drawn(9)) answer_with(own, attempt, all_of(body));
  hook(destroy)(attempt);
  fake_free(own);
}

// A request that was read.
typedef struct {
  void *s, *filter;
  text sent;
} open_request;

static open_request waiting[5];
static u64 waited; // and went on

static void go_on(open_request of, void *attempts, buffer *body);

// Some of those that wait: their host has a place, or their time is up, or their client leaves.
static void serve_waiting(void *attempts, buffer *body) {
  serve_queues(0);
  for (u32 i = 0; i < COUNT(waiting); i++) {
    open_request of = waiting[i];
    if (!of.s) continue;
    boolean goes = fake_scheduled(of.s) && drawn(9);
    if (!goes && drawn(20)) continue;
    waiting[i] = (open_request){ 0, 0, NO_TEXT };
    if (goes) hook(scheduled)(of.s, of.filter, 0);
    waited += goes;
    go_on(of, attempts, body);
  }
}

static boolean waits(void *s) {
  double address = 0;
  envoy(http_get_metadata_number)(s, DYNAMIC_METADATA, T("corral"), T("request"), &address);
  return address != 0 && is_waiting((request *)(u64)address);
}

static void one_request(void *gateway, void *attempts, void *plan, buffer *body) {
  void *s = fake_new(plan), *filter = hook(new)(gateway, s);
  fake_time(1795276110747000 + (i64)drawn(100000000));
  add_header_to(s, REQUEST_HEADERS, T(":path"), ONE_OF(PATHS));
  add_header_to(s, REQUEST_HEADERS, T(":method"), T("POST"));
  add_header_to(s, REQUEST_HEADERS, T("content-type"), T("application/json"));
  add_header_to(s, REQUEST_HEADERS, T("authorization"), ONE_OF(KEYS));
  if (drawn(4)) fake_add_header(s, REQUEST_HEADERS, T("x-request-id"), T("an-id"));
  if (!drawn(9)) add_header_to(s, REQUEST_HEADERS, T("x-corral-mirror"), T("7"));
  if (!drawn(4)) add_header_to(s, REQUEST_HEADERS, T("x-corral-claims"), ONE_OF(CLAIMS));
  mutate(body, ONE_OF(REQUESTS_SENT));
  text sent = copy_of(all_of(body));
  hook(request_headers)(s, filter, !sent.n);
  run_body(s, filter, hook(request_body), REQUEST_PIECE, sent);
  copied_request(s, attempts, plan, sent, body);
  open_request fresh = { s, filter, sent }, *at = &waiting[drawn(COUNT(waiting))];
  if (waits(s) && !at->s) {
    *at = fresh;
  } else {
    go_on(fresh, attempts, body);
  }
}

static void go_on(open_request of, void *attempts, buffer *body) {
  void *s = of.s, *filter = of.filter;
  text cluster, override, sent = of.sent;
  for (u32 i = drawn(5); i && fake_selected(s, &cluster, &override); i--) {
    void *attempt = hook(new)(attempts, s);
    fake_clear_headers(s, RESPONSE_HEADERS);
    hook(request_headers)(s, attempt, !sent.n);
    run_body(s, attempt, hook(request_body), REQUEST_PIECE, sent);
    some_events(body);
    if (drawn(9)) answer_with(s, attempt, all_of(body));
    if (!drawn(9)) { // the request is over before its attempt is
      fake_details(s, "downstream_remote_disconnect", drawn(29));
      be_over(s, filter);
      hook(destroy)(filter);
      filter = 0;
      i = 1;
    }
    hook(destroy)(attempt);
  }
  if (filter) {
    some_events(body);
    answer_with(s, filter, all_of(body));
    if (drawn(10)) be_over(s, filter);
    hook(destroy)(filter);
  }
  fake_free(s);
  free((char *)sent.p);
}

int main(int count, char **arguments) {
  state = 88172645463325252u + (u64)(count > 1 ? atoi(arguments[1]) : 0) * 7919;
  i64 until = time(0) + (count > 2 ? atoi(arguments[2]) : 2);
  void *gateway = hook(config_new)(0, T("gateway"), T("")), *attempts;
  attempts = hook(config_new)(0, T("attempt"), T("authorization api-key\nset-cookie x-corral-unsupported"));
  log_of_all = envoy_dynamic_module_on_access_logger_new(0, 0);
  if (count > 3 && !map_budgets((text){ arguments[3], strlen(arguments[3]) })) return 1;
  buffer body = { 0, 0, 0 };
  u64 plans = 0, requests = 0;
  while (time(0) < until) {
    mutate(&body, drawn(4) ? PLAN : OPEN);
    void *plan = hook(per_route_config_new)(T("plan"), all_of(&body));
    plans++;
    fake_unresolved(drawn(3) ? T("") : T("host/b@2"));
    if (!plan) continue;
    for (u32 i = 0; i < 100; i++, requests++) {
      one_request(gateway, attempts, plan, &body);
      serve_waiting(attempts, &body);
    }
    hook(per_route_config_destroy)(plan);
  }
  for (u32 i = 0; i < COUNT(waiting); i++) {
    if (waiting[i].s) go_on(waiting[i], attempts, &body);
  }
  hook(config_destroy)(gateway);
  hook(config_destroy)(attempts);
  envoy_dynamic_module_on_access_logger_destroy(log_of_all);
  if (!fake_series(0).n || !fake_series(1).n) return 1;
  free(body.p);
  free(scratch.p);
  fake_unresolved(NO_TEXT);
  printf("%lu plans, %lu requests, %lu waited\n", plans, requests, waited);
  return 0;
}
