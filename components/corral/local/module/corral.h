// What the parts of the module share.
//
//   text      bytes: compared, searched, built up
//   plan      who may call and what there is, from a text that comes with the routes; what of it outlives a plan
//   sha256    of a caller's key
//   json      where the members of a request's object stand
//   needs     what a request needs of its host
//   limits    what a tenant may use
//   budget    what a tenant's requests may cost
//   files     read whole, mapped, or written at their end
//   shape     of the last requests, for whoever asks what Envoy has died of
//   host      how a host is reached, and how a model fares there
//   affinity  which requests belong together, and which host they prefer
//   mirror    copies for a candidate, and how it compares
//   places    what a host takes at once and a minute, and requests that wait until it takes one more
//   choice    which host is asked next, and which are left out
//   headers   read all at once, and taken away
//   caller    who calls
//   admit     the request: whether it is let through, and as what
//   attempt   one attempt at a host: its headers, its body, whether its answer is one
//   usage     what an answer says of tokens, of failure and of its model
//   answer    the answer: what it used, and what of it passes
//   log       what is left of a request: a line of the log, and what it adds to the series
//   series    what is counted
//   hooks     what Envoy calls
//
// Threads.  Envoy loads plans on its main thread and frees them on any; requests are on worker threads, each request on
// one.  What workers share is changed by atomic operations alone, money under a lock that is made of them.

#ifndef CORRAL_H
#define CORRAL_H

#include "text.h"

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

#include "budget.h"
#include "places.h"

typedef struct tenant {
  text name, residency;
  i64 total, concurrent, body; // -1: no limit
  boolean every_model;
  rate rates[RATES];
  level *active;
  budget *budget; // 0: none
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
  i64 ejections, ejected_until, throttled_until, published; // microseconds; the last is what can be read
  i64 times, good_attempts; // addresses of its series, once there are
  i64 plan; // the newest that has it, by its number
} standing;

// How a host is reached.
typedef struct host {
  struct host *next;
  text name, cluster, authority, path, header;
  text key; // owned: the whole value of that header
  capacity capacity;
  overflow overflow;
  u64 mark;                       // of its name
  text session_header, session_member; // by which it is told which requests belong together; empty: by none
} host;

// One of a model's hosts.
typedef struct target {
  const host *host;
  text id, json_id; // of the model there
  u64 weight;
  i64 priority;
  standing *standing;
  capacity capacity; // for this model
  price price;       // where some tenant has a budget
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
  boolean keeps_sessions;               // requests of one go to the same host
  boolean waits;                        // requests do, at some host of it that is full
  text session_header;                  // that names it; empty: its prompt does
  struct mirror *mirror;  // 0: none
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

typedef struct cached_key {
  text sent;
  tenant *tenant;
} cached_key;

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
  i64 cached_key[SLOTS]; // keys that were found by their hash: each the address of a `cached_key`
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

// ---- files

text contents_of(text path); // owned by the caller.  `p` is 0: it cannot be read, or is empty
void *mapped_file(text path, size least, size *n); // 0: it cannot be, or has less bytes
void append_to(text path, text line,
               i64 largest); // a file of more bytes gets the ending .older, and the one before it goes

// ---- shape

struct request;
void map_shapes(text path);
void show_shape(struct request *r);
void hide_shape(const struct request *r);

// ---- host

boolean add_host(plan *of, const text *fields); // false: its key cannot be read
host *find_host(const plan *of, text name);
boolean is_of_older_plan(const target *of); // the newest has not its model there
void number_targets(const plan *of);        // of the newest
boolean read_target(const plan *of, const model *model, const text *fields, target *to);
boolean add_target(plan *of, model *to, const text *fields);
void release_hosts(plan *of);

// ---- the request

typedef struct {
  size from, to;
  text by; // owned
} edit;

// What a request and its answer are compared by with a copy's.
typedef struct {
  boolean exact, tools, json; // it asks for no chance, may call tools, is to answer in JSON
  boolean compared, is_json;  // the answer was looked at, and is JSON
  u64 calls;                  // a number for the calls of tools in it; 0: there are none
} traits;

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
  u64 allowed, tried; // hosts, as bits
  u64 session;        // 0: it is of none
  text hinted;        // the header in which the host that was asked last was told the session
  const target *target, *attempted; // that is asked next or now, and that was asked last; 0: none
  struct attempt *running;
  const target *place; // that is held at a host
  waiter *waiter;      // 0: it has not waited for one
  u32 attempts;
  i64 began, first_byte;
  size length; // of the body
  member name; // of the model, in the body
  edit edits[EDITS];
  u32 edit_count;
  boolean post, stream, admitted, started, over, strips, counted_of_all, counted_of_tenant, published;
  boolean takes_cache_key; // a chat whose client has given none
  boolean adds_options, refuses_options; // the first edit is the gateway's own wish; a host has refused it
  i64 refused_status;                    // which 498 stands for, as another host is asked; 0: for none
  i64 last_status;                       // of the last attempt that has ended; 0: no answer came whole
  boolean holds;                         // money, of its tenant's budget
  bound bound;
  held held;
  u32 limited;                           // by which limit it was refused: a name of LIMIT_NAMES
  struct answer *answer;
  boolean waits; // for its body
  u32 shown;     // where its shape stands; 0: nowhere
  i64 status;    // of the answer that is sent on
  i64 copy;      // the number of its copy, which may be gone; 0: none was made
  text id;       // owned: its x-request-id, where it has a copy or is one
  traits traits;
  boolean is_copy;
} request;

void release_request(request *r);

// ---- needs

// Leaves the hosts out that a request cannot go to; it may shorten limits of an answer.  False: no host takes it, and it
// was refused.
boolean leave_out(request *r, void *filter, text body, const member *members);
double longest_answer(text body, const member *members); // that it asks for, in tokens; 0: it does not say

// ---- limits

enum { NOT_LIMITED, BY_REQUESTS, BY_TOKENS, BY_CONCURRENT, BY_BUDGET };
extern const text LIMIT_NAMES[];

i64 left_of(const rate *of, i64 at);
void use(const rate *of, i64 amount, i64 at);
i64 wait_for(const rate *of, i64 at);
void add_rate_headers(const request *r, i64 at, void (*set)(void *to, text name, text value), void *to);
boolean begin(request *r, void *filter);
void use_tokens(const request *r, i64 amount, i64 at);
void end(request *r);

// ---- affinity

u64 mark_of(text t, u64 before);
u64 session_of(const request *r, void *filter, text body, const member *members); // 0: none
u32 preferred(const model *of, u64 hosts, u64 session); // of hosts, as bits, the place of one
text hint_of(u64 session, char to[17]);

// ---- choice

u32 count_of(u64 hosts);
u64 next_turn(level *turns, u64 below); // of a sequence that fills the range evenly
boolean find_place(request *r, void *filter); // where requests wait, before the first attempt; false: it waits
boolean choose(request *r, void *context);    // false: there is nobody
void judge(request *r, const target *of, i64 status, boolean failed); // status: 0 where no answer came whole
void add_names(buffer *to, const request *r, const target *of); // of a series: the model's and the host's
void count_attempt(const request *r, const target *of, i64 status);
void throttle(const target *of, i64 until);
i64 date_of(text t); // seconds since 1970 of an HTTP date; -1: it is none

// ---- caller

typedef struct {
  text authorization, api_key, x_api_key, claims, token_failure; // `p` is 0: there is none
} credentials;

tenant *caller(request *r, void *filter, const credentials *of); // 0: refused

// ---- admit

boolean is_messages(const request *r);
boolean is_of_prompts(const request *r); // chats, responses and messages
void refuse(void *filter, u32 status, text code, text message, text kind, text parameter, const header *more, size count);
int admit(request *r, void *filter, boolean ended);
int admit_body(request *r, void *filter, text body);

// ---- headers

enum { MOST_HEADERS = 256, MOST_NAMES = 64 }; // more than Envoy takes of either side, and more than are hidden

typedef struct {
  text list[MOST_NAMES];
  u32 count, from[64]; // by length, where those begin that have it
} names;

// Headers that no host and no client sees.
typedef struct {
  text source; // owned; what is read from it points into it: a line of names for requests, one for answers
  names of_requests, of_answers;
} hidden;

// What of an answer's headers is read.
typedef struct {
  text status, kind, request_id, retry_after;
  boolean has_ours; // a header of ours, as of a host that is a gateway itself
  boolean lacks;    // the adapter says that the host does not take what is asked for
} head;

head head_of(const header *all, size count);
text header_of(void *filter, int kind, text name); // the first of that name; `p` is 0: there is none
size all_headers(void *filter, int kind, header to[MOST_HEADERS]); // 0: they cannot be read
void read_hidden(hidden *to, text source);
void hide(void *filter, int kind, const names *of, const header *all, size count, text but); // but one of them

// ---- attempt

typedef struct attempt {
  const hidden *hidden;
  request *request;
  const target *target;
  i64 status; // 0: no answer has begun
  boolean waits, replaced, judged;
  boolean opens, fails; // a stream: nothing of it is known yet; its first event has told that it fails
} attempt;

int attempt_headers(attempt *of, void *filter);
int attempt_body(attempt *of, void *filter, boolean ended);
int attempt_answer(attempt *of, void *filter, boolean ended);
int attempt_answer_body(attempt *of, void *filter, boolean ended);
void end_attempt(attempt *of);
boolean is_answer(void *filter, text body); // JSON, and no error
void abandon_attempt(request *r, void *filter); // its request is over

// ---- bodies, in hooks

typedef struct {
  text t;
  char *own; // 0: it lies in one piece at Envoy
} whole;

whole whole_body(void *filter, int held, int piece); // both together
whole joined(text before, void *filter, int piece);
void replace_body(void *filter, int held, int piece, text by);

#include "answer.h"
#include "mirror.h"

#endif
