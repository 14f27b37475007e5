// What the parts of the module share.
//
//   text      bytes: compared, searched, built up
//   plan      who may call and what there is, from a text that comes with the routes; what of it outlives a plan
//   sha256    of a caller's key
//   json      where the members of a request's object stand
//   needs     what a request needs of its host
//   limits    what a tenant may use
//   host      how a host is reached, and how a model fares there
//   choice    which host is asked next, and which are left out
//   caller    who calls
//   admit     the request: whether it is let through, and as what
//   attempt   one attempt at a host: its headers, its body, whether its answer is one
//   usage     what an answer says of tokens, of failure and of its model
//   answer    the answer: what it used, and what of it passes
//   hooks     what Envoy calls
//
// Threads.  Envoy loads plans on its main thread and frees them on any; requests are on worker threads, each request on
// one.  What workers share is changed by atomic operations alone.

#ifndef CORRAL_H
#define CORRAL_H

#include "envoy.h"

// ---- text

boolean same(text a, text b);
boolean same_but_case(text a, text b);
boolean starts(text of, text with);
boolean starts_but_case(text of, text with);
boolean find(text in, text what, size *at); // from *at on; *at is where it stands then
boolean is_blank(char c);
size skip_blank(text t, size at);
boolean has(text in, text what);
size value_behind(text t, size at); // where the value of a key begins that ends at this place; `n` of the text: there is none
text part(text t, size from, size to); // within bounds, whatever they are
i64 number(text t);                    // of the digits at its beginning, 10^15 at most; -1: there is none
u64 hexadecimal(text t);               // of 16 digits at most; 0: it is no such number
int hex_value(char c);                 // of a hexadecimal digit; -1: it is none
u32 hash(text t);
void *allocate(size n); // zeroed; never 0

// Bytes that are added up; whoever has one frees `p`.
typedef struct {
  char *p;
  size n, room;
} buffer;

void add(buffer *to, text t);
void add_number(buffer *to, i64 n);
void add_quoted(buffer *to, text t); // as a JSON string of printable ASCII; a ? for each other byte
text all_of(const buffer *b);
text copy_of(text t); // owned by the caller

i64 now(void); // microseconds since 1970
i64 add_to(i64 *at, i64 n); // what it was before
i64 value_of(i64 *at);
void set_to(i64 *at, i64 n);
boolean swap(i64 *at, i64 *expected, i64 to);

// ---- plan

enum { REQUESTS, TOKENS, RATES };

// A bucket: when it is full again, in microseconds.  It lives as long as the process, by its name.
typedef struct level {
  struct level *next;
  text name;
  i64 value;
} level;

typedef struct {
  i64 limit; // -1: none
  level *level;
} rate;

typedef struct tenant {
  text name, residency;
  i64 total, concurrent, body; // -1: no limit
  boolean every_model;
  rate rates[RATES];
  level *active;
} tenant;

// What a tenant may do with one model, where that is said.
typedef struct grant {
  struct grant *chain;
  tenant *tenant;
  text model;
  boolean allowed;
  rate rates[RATES];
} grant;

// How a model fares at a host.  It lives as long as the process, by the names of both, and begins anew where the host is
// reached in another way.
typedef struct standing {
  struct standing *next;
  text name, cluster; // owned
  i64 failures;       // in a row
  i64 ejections, ejected_until, throttled_until, published; // microseconds; the last is what Envoy's gauge says
} standing;

// What may be under way at a host at once, and what it takes a minute.
typedef struct {
  i64 concurrent; // -1: as many as come
  level *active;
  rate rates[RATES];
} capacity;

// How a host is reached.
typedef struct host {
  struct host *next;
  text name, cluster, authority, path, header;
  text key; // owned: the whole value of that header
  capacity capacity;
} host;

// One of a model's hosts.
typedef struct target {
  const host *host;
  text id, json_id; // of the model there
  u64 weight;
  i64 priority;
  standing *standing;
  capacity capacity; // for this model
} target;

enum { MOST_TARGETS = 64 }; // of a model: sets of them are the bits of a number

typedef struct lack {
  struct lack *next;
  text need, what;
  u64 hosts; // as bits; likewise below
} lack;

typedef struct output {
  struct output *next;
  i64 limit;
  u64 hosts;
} output;

typedef struct residency {
  struct residency *next;
  text name;
  u64 hosts;
} residency;

typedef struct model {
  struct model *chain;
  text name, hash;
  target *targets; // in order of priority
  u32 count, capacity;
  level *turns; // how often a host was drawn
  boolean takes_messages, takes_rerank; // some host does
  residency *residencies; // of tenants with one, where not every host lies within it
  lack *lacks;
  output *outputs;
} model;

typedef struct key {
  struct key *chain;
  u8 hash[32];
  tenant *tenant;
} key;

typedef struct claim {
  struct claim *next;
  text issuer, name;
} claim;

typedef struct voucher {
  struct voucher *chain;
  text issuer, value;
  tenant *tenant;
} voucher;

typedef struct seen {
  text sent;
  tenant *tenant;
} seen;

enum { SLOTS = 4096 };

// When a host is left out, and for how long; microseconds.
typedef struct {
  i64 failures, base, longest, interval;
} ejection;

typedef struct plan {
  i64 references;
  text source; // owned; what is read from it points into it
  text commit;
  boolean shows_trace;
  host *hosts;
  ejection ejection;
  struct block *blocks;
  tenant *open; // whom everybody is where there are no tenants
  level *active;
  struct tenant_entry *tenants[SLOTS];
  model *models[SLOTS];
  grant *grants[SLOTS];
  key *keys[SLOTS];
  voucher *vouchers[SLOTS];
  claim *claims;
  i64 seen[SLOTS]; // keys that were found by their hash: each the address of a `seen`
} plan;

plan *plan_of(text source); // with one reference; 0: the text is not one
void release_plan(plan *of);
tenant *find_tenant(const plan *of, text name);
model *find_model(const plan *of, text name);
grant *find_grant(const plan *of, const tenant *tenant, text model);
enum { FIELDS = 10 }; // of a line

level *level_of(text name);
level *named_level(text kind, text tenant, text model);
rate rate_of(text limit, text kind, text tenant, text model);
void *of_plan(plan *of, size n); // zeroed memory that is given back with the plan

// ---- host

boolean add_host(plan *of, const text *fields); // false: its key cannot be read
boolean add_target(plan *of, model *to, const text *fields);
void release_hosts(plan *of);

// ---- sha256

void sha256(text t, u8 out[32]);

// ---- json

// Where a member stands: its key, and its value from its first byte to behind its last.  `to` is 0: there is none.
typedef struct {
  size key, from, to;
} member;

enum {
  MODEL, STREAM, STREAM_OPTIONS, MESSAGES, INPUT, TOOLS, TOOL_CHOICE, RESPONSE_FORMAT, TEXT_FORMAT, CHOICES, LOGPROBS,
  TOP_LOGPROBS, SEED, PRESENCE_PENALTY, FREQUENCY_PENALTY, MAX_TOKENS, MAX_COMPLETION_TOKENS, MAX_OUTPUT_TOKENS,
  PREVIOUS_RESPONSE_ID, OUTPUT_CONFIG, MEMBERS
};
extern const text MEMBER_NAMES[MEMBERS];

// Fills `found` with the members of those names.  False, and why in `wrong`: the text is not an object that can be read
// in one way alone.
boolean find_members(text t, const text *names, size count, member *found, char wrong[192]);
boolean skip_value(text t, size *at, u32 *parts); // a value that begins at *at; *at is behind it then
text value_at(text t, const member *m);           // `null` where there is none
boolean number_at(text t, const member *m, double *value);
boolean string_at(text t, const member *m, char *to, size room, size *n); // with the escapes that names have

// ---- the request

typedef struct {
  size from, to;
  text by; // owned
} edit;

enum { EDITS = 4 }; // the options of a stream, and three limits of an answer

typedef struct request {
  i64 references; // the gateway's filter and the attempts
  plan *plan;
  tenant *tenant; // 0: nobody that is known
  model *model;   // 0: none that there is
  grant *grant;
  char path[128];
  size path_size;
  text endpoint; // owned: the path within the API
  void *filter;  // of the gateway, as Envoy calls it; for as long as it is not over
  u64 allowed, tried; // hosts, as bits
  const target *target; // that is asked, or was asked last
  struct attempt *running;
  const target *place; // that is held at a host
  u32 attempts;
  i64 began, first_byte;
  size length; // of the body
  member name; // of the model, in the body
  edit edits[EDITS];
  u32 edit_count;
  boolean post, stream, admitted, started, over, strips, counted_of_all, counted_of_tenant, published;
  boolean adds_options, refuses_options; // the first edit is the gateway's own wish; a host has refused it
  u32 limited;                           // by which limit it was refused: a name of LIMIT_NAMES
  struct answer *answer;
  boolean waits; // for its body
} request;

void release_request(request *r);

// ---- needs

// Leaves the hosts out that a request cannot go to; it may shorten limits of an answer.  False: no host takes it, and it
// was refused.
boolean leave_out(request *r, void *filter, text body, const member *found);

// ---- limits

enum { NOT_LIMITED, BY_REQUESTS, BY_TOKENS, BY_CONCURRENT };
extern const text LIMIT_NAMES[];

i64 left_of(const rate *of, i64 at);
void use(const rate *of, i64 amount, i64 at);
i64 wait_for(const rate *of, i64 at);
void add_rate_headers(const request *r, i64 at, void (*set)(void *to, text name, text value), void *to);
boolean begin(request *r, void *filter);
void use_tokens(const request *r, i64 amount, i64 at);
void end(request *r, void *filter);

extern size ACTIVE_GAUGE; // requests under way, of tenants with a limit on them

// ---- choice

u32 count_of(u64 hosts);
boolean choose(request *r, void *context); // false: there is nobody
void judge(request *r, const target *of, i64 status, boolean failed); // status: 0 where no answer came whole
void count_attempt(const request *r, const target *of, i64 status);
void throttle(const target *of, i64 until);
void leave_place(request *r);
i64 date_of(text t); // seconds since 1970 of an HTTP date; -1: it is none

extern size EJECTED_GAUGE, ATTEMPTS_COUNTER; // until when a host is left out of a model, milliseconds since 1970

// ---- caller

typedef struct {
  text authorization, api_key, x_api_key, claims, token_failure; // `p` is 0: there is none
} credentials;

tenant *caller(request *r, void *filter, const credentials *of); // 0: refused

// ---- admit

boolean is_messages(const request *r);
void refuse(void *filter, u32 status, text code, text message, text kind, text parameter, const header *more, size count);
int admit(request *r, void *filter, boolean ended);
int admit_body(request *r, void *filter, text body);

// ---- attempt

typedef struct attempt {
  request *request;
  const target *target;
  i64 status; // 0: no answer has begun
  boolean waits, replaced, judged;
} attempt;

int attempt_headers(attempt *of, void *filter);
int attempt_body(attempt *of, void *filter, boolean ended);
int attempt_answer(attempt *of, void *filter, boolean ended);
int attempt_answer_body(attempt *of, void *filter, boolean ended);
void end_attempt(attempt *of);
void abandon_attempt(request *r, void *filter); // its request is over

// ---- usage

typedef struct {
  i64 input, output, cached, reasoning; // -1: not said, but for the output
} usage;

boolean find_usage(text t, usage *to);
boolean only_usage(text event);
i64 count_pieces(text events);
boolean tells_failure(text events);
boolean tells_end(text events, boolean of_messages);
boolean find_messages_usage(text events, usage *to);
boolean find_spelling(text t, size *from, size *to); // of the model's name, key and all
size event_end(text t, size from);                   // where the next event begins; 0: this one has not ended

// ---- answer

typedef struct answer {
  usage used;
  i64 drawn;
  boolean streams, by_host, noted, failed, ended, renames;
  text failure;
  buffer tail;
  buffer spelling, ours; // how the host writes the model's name, and how it is written here
} answer;

int answer_headers(request *r, void *filter, boolean ended);
int answer_body(request *r, void *filter, boolean ended);
void note_end(request *r, void *filter);
void release_answer(answer *of);

// ---- bodies, in hooks

typedef struct {
  text t;
  char *own; // 0: it lies in one piece at Envoy
} whole;

whole whole_body(void *filter, int held, int piece); // both together
whole joined(text before, void *filter, int piece);
void replace_body(void *filter, int held, int piece, text by);
#endif
