// The plan's text: lines, of which tabs part the fields.  Within a field \t, \n and \\ stand for a tab, a line's end and a
// backslash.  A number that is not there is no limit.  Python writes it (`corral.local.module.plan_text`).
//
//   ejection FAILURES BASE LONGEST INTERVAL         failures in a row after which a host is left out, and milliseconds:
//                                                  how long at first and at most, and after how many one is forgotten
//   trace    COMMIT SHOWN                           the commit of the stack; SHOWN: 1, answers tell it and the model's plan
//   host     NAME CLUSTER AUTHORITY PATH HEADER FILE CONCURRENT REQUESTS TOKENS    HEADER: that its key goes into, FILE: with
//                                                  its value; the rest: what it takes of all models at once, and a minute
//   hint     HOST HEADER MEMBER                     by which it is told the session of a request: a header, or a member of
//                                                  a chat's body
//   overflow HOST WAIT                              milliseconds for which a request waits there where it is full
//   open     TOTAL                                  there are no tenants: everybody may call
//   tenant   NAME RESIDENCY TOTAL CONCURRENT BODY REQUESTS TOKENS EVERY    EVERY: 1, it may use every model
//   grant    MODEL ALLOWED REQUESTS TOKENS          of the tenant before it
//   budgets  FILE                                   where what tenants have spent is kept
//   budget   PLACE DAY MONTH ALLOWED                of the tenant before it; PLACE: in that file; micro-dollars; ALLOWED: 1,
//                                                  requests beyond it are let through
//   key      SHA256 TENANT
//   claim    ISSUER NAME                            the claim of its tokens that names the tenant
//   voucher  ISSUER VALUE TENANT
//   model    NAME COUNT HASH                        COUNT: of its targets; HASH: of its routing
//   target   HOST WEIGHT PRIORITY JSON ID CONCURRENT REQUESTS TOKENS    of the model before it, in order of priority, as are
//                                                  the next five; JSON: the model's id there with quotes, ID: without, where
//                                                  it has escapes; the rest: what the host takes of this model
//   price    INPUT OUTPUT CACHED CONTEXT ANSWER     of the target before it: what a token costs, in millionths of a
//                                                  micro-dollar, and the tokens of its longest prompt and answer
//   residency  NAME HOSTS                           HOSTS: bits, in the order of the targets, as a hexadecimal number
//   lack     NEED HOSTS WHAT
//   output   LIMIT HOSTS                            in order of the limit
//   mirror   HOST PERCENT 0 JSON ID CONCURRENT REQUESTS TOKENS FILE    so many of its requests are copied to a candidate;
//                                                  FILE: what became of them; the rest as of a target
//   unmirrored  RESIDENCY                           of tenants whose requests that one may not have
//   affinity HEADER                                 requests of one session go to the same host; HEADER: that names the
//                                                  session, empty: the prompt does
//   api      NAME                                   messages or rerank: some host of the model takes it

#include "corral.h"

// Memory of a plan, which is given back with it.
typedef struct block {
  struct block *next;
  size used;
  char bytes[65536];
} block;

typedef struct tenant_entry {
  struct tenant_entry *chain;
  tenant of;
} tenant_entry;

void *of_plan(plan *of, size n) {
  n = (n + 15) & ~(size)15;
  if (n > sizeof of->blocks->bytes) abort();
  if (!of->blocks || sizeof of->blocks->bytes - of->blocks->used < n) {
    block *next = allocate(sizeof *next);
    next->next = of->blocks;
    of->blocks = next;
  }
  void *p = of->blocks->bytes + of->blocks->used;
  of->blocks->used += n;
  return p;
}

static level *levels[SLOTS];

// Called on the main thread alone.
level *level_of(text name) {
  level **slot = &levels[hash(name) % SLOTS];
  for (level *each = *slot; each; each = each->next) {
    if (same(each->name, name)) return each;
  }
  level *fresh = allocate(sizeof *fresh);
  fresh->name = copy_of(name);
  fresh->next = *slot;
  *slot = fresh;
  return fresh;
}

level *named_level(text kind, text tenant, text model) {
  buffer name = { 0, 0, 0 };
  add(&name, kind);
  add(&name, T("\t"));
  add(&name, tenant);
  add(&name, T("\t"));
  add(&name, model);
  level *of = level_of(all_of(&name));
  free(name.p);
  return of;
}

rate rate_of(text limit, text kind, text tenant, text model) {
  i64 n = number(limit);
  return n < 1 ? (rate){ -1, 0 } : (rate){ n, named_level(kind, tenant, model) };
}

tenant *find_tenant(const plan *of, text name) {
  for (tenant_entry *each = of->tenants[hash(name) % SLOTS]; each; each = each->chain) {
    if (same(each->of.name, name)) return &each->of;
  }
  return 0;
}

model *find_model(const plan *of, text name) {
  for (model *each = of->models[hash(name) % SLOTS]; each; each = each->chain) {
    if (same(each->name, name)) return each;
  }
  return 0;
}

static u32 grant_slot(const tenant *tenant, text model) { return (hash(tenant->name) * 31 + hash(model)) % SLOTS; }

grant *find_grant(const plan *of, const tenant *tenant, text model) {
  for (grant *each = of->grants[grant_slot(tenant, model)]; each; each = each->chain) {
    if (each->tenant == tenant && same(each->model, model)) return each;
  }
  return 0;
}

// Takes the escapes out of a field, where it lies.
static text plain(char *from, size n) {
  size out = 0;
  for (size i = 0; i < n; i++) {
    char c = from[i];
    if (c == '\\' && i + 1 < n) {
      c = from[++i];
      if (c == 't') c = '\t';
      if (c == 'n') c = '\n';
    }
    from[out++] = c;
  }
  return (text){ from, out };
}

static size fields_of(char *line, size n, text f[FIELDS]) {
  size count = 0, from = 0;
  while (count < FIELDS) {
    char *tab = from < n ? memchr(line + from, '\t', n - from) : 0;
    size to = tab ? (size)(tab - line) : n;
    f[count++] = plain(line + from, to - from);
    if (!tab) break;
    from = to + 1;
  }
  return count;
}

static boolean read_hash(text hex, u8 hash[32]) {
  if (hex.n != 64) return 0;
  for (size i = 0; i < 64; i++) {
    int digit = hex_value(hex.p[i]);
    if (digit < 0) return 0;
    hash[i / 2] = (u8)(hash[i / 2] << 4 | digit);
  }
  return 1;
}

static u32 key_slot(const u8 hash[32]) { return (hash[0] | (u32)hash[1] << 8) % SLOTS; }

static tenant *add_tenant(plan *of, const text f[FIELDS]) {
  tenant_entry *fresh = of_plan(of, sizeof *fresh);
  tenant_entry **slot = &of->tenants[hash(f[1]) % SLOTS];
  fresh->chain = *slot;
  *slot = fresh;
  fresh->of = (tenant){
    .name = f[1],
    .residency = f[2],
    .total = number(f[3]),
    .concurrent = number(f[4]),
    .body = number(f[5]),
    .every_model = same(f[8], T("1")),
    .rates = { rate_of(f[6], T("requests"), f[1], NO_TEXT), rate_of(f[7], T("tokens"), f[1], NO_TEXT) },
    .active = named_level(T("active"), f[1], NO_TEXT),
  };
  return &fresh->of;
}

static void add_grant(plan *of, tenant *tenant, const text f[FIELDS]) {
  grant *fresh = of_plan(of, sizeof *fresh);
  grant **slot = &of->grants[grant_slot(tenant, f[1])];
  *fresh = (grant){
    .chain = *slot,
    .tenant = tenant,
    .model = f[1],
    .allowed = same(f[2], T("1")),
    .rates = { rate_of(f[3], T("requests"), tenant->name, f[1]), rate_of(f[4], T("tokens"), tenant->name, f[1]) },
  };
  *slot = fresh;
}

static boolean add_key(plan *of, const text f[FIELDS]) {
  key *fresh = of_plan(of, sizeof *fresh);
  if (!read_hash(f[1], fresh->hash)) return 0;
  fresh->tenant = find_tenant(of, f[2]);
  key **slot = &of->keys[key_slot(fresh->hash)];
  fresh->chain = *slot;
  *slot = fresh;
  return 1;
}

static model *add_model(plan *of, const text f[FIELDS]) {
  model *fresh = of_plan(of, sizeof *fresh);
  model **slot = &of->models[hash(f[1]) % SLOTS];
  i64 count = number(f[2]);
  if (count < 0 || count > MOST_TARGETS) return 0;
  *fresh = (model){
    .chain = *slot,
    .name = f[1],
    .hash = f[3],
    .capacity = (u32)count,
    .turns = named_level(T("turns"), NO_TEXT, f[1]),
  };
  fresh->targets = of_plan(of, (size)count * sizeof *fresh->targets);
  *slot = fresh;
  return fresh;
}

// Its hosts, and what not all of them take; in the order of the text.
static boolean add_to_model(plan *of, model *model, const text f[FIELDS]) {
  if (same(f[0], T("target"))) {
    return add_target(of, model, f);
  } else if (same(f[0], T("price")) && model->count) {
    return add_price(&model->targets[model->count - 1], f);
  } else if (same(f[0], T("residency"))) {
    residency *fresh = of_plan(of, sizeof *fresh);
    *fresh = (residency){ model->residencies, f[1], hexadecimal(f[2]) };
    model->residencies = fresh;
  } else if (same(f[0], T("lack"))) {
    lack *fresh = of_plan(of, sizeof *fresh);
    *fresh = (lack){ model->lacks, f[1], f[3], hexadecimal(f[2]) };
    model->lacks = fresh;
  } else if (same(f[0], T("output"))) {
    output **last = &model->outputs;
    while (*last) last = &(*last)->next;
    *last = of_plan(of, sizeof **last);
    **last = (output){ 0, number(f[1]), hexadecimal(f[2]) };
  } else if (same(f[0], T("mirror"))) {
    return add_mirror(of, model, f);
  } else if (same(f[0], T("unmirrored")) && model->mirror) {
    residency *fresh = of_plan(of, sizeof *fresh);
    *fresh = (residency){ model->mirror->none, f[1], 0 };
    model->mirror->none = fresh;
  } else if (same(f[0], T("affinity"))) {
    model->keeps_sessions = 1;
    model->session_header = f[1];
  } else if (same(f[0], T("api"))) {
    if (same(f[1], T("messages"))) model->takes_messages = 1;
    if (same(f[1], T("rerank"))) model->takes_rerank = 1;
  } else {
    return 0;
  }
  return 1;
}

static i64 microseconds(text milliseconds) {
  const i64 longest = 1000000000;
  i64 n = number(milliseconds);
  return (n < 0 ? 0 : n < longest ? n : longest) * 1000;
}

static boolean read_line(plan *of, const text f[FIELDS], tenant **last, model **last_model) {
  if (same(f[0], T("open"))) {
    of->open = of_plan(of, sizeof *of->open);
    *of->open = (tenant){ .total = number(f[1]), .concurrent = -1, .body = -1, .every_model = 1 };
    of->open->rates[REQUESTS].limit = of->open->rates[TOKENS].limit = -1;
  } else if (same(f[0], T("ejection"))) {
    of->ejection = (ejection){ number(f[1]), microseconds(f[2]), microseconds(f[3]), microseconds(f[4]) };
  } else if (same(f[0], T("trace"))) {
    of->commit = f[1];
    of->shows_trace = same(f[2], T("1"));
  } else if (same(f[0], T("host"))) {
    return add_host(of, f);
  } else if (same(f[0], T("hint"))) {
    host *at = find_host(of, f[1]);
    if (!at) return 0;
    at->session_header = f[2];
    at->session_member = f[3];
  } else if (same(f[0], T("overflow"))) {
    return add_overflow(of, f);
  } else if (same(f[0], T("tenant"))) {
    *last = add_tenant(of, f);
  } else if (same(f[0], T("grant")) && *last) {
    add_grant(of, *last, f);
  } else if (same(f[0], T("budgets"))) {
    return map_budgets(f[1]);
  } else if (same(f[0], T("budget")) && *last) {
    return add_budget(of, *last, f);
  } else if (same(f[0], T("key"))) {
    return add_key(of, f);
  } else if (same(f[0], T("claim"))) {
    claim *fresh = of_plan(of, sizeof *fresh);
    *fresh = (claim){ of->claims, f[1], f[2] };
    of->claims = fresh;
  } else if (same(f[0], T("voucher"))) {
    voucher *fresh = of_plan(of, sizeof *fresh);
    voucher **slot = &of->vouchers[hash(f[2]) % SLOTS];
    *fresh = (voucher){ *slot, f[1], f[2], find_tenant(of, f[3]) };
    *slot = fresh;
  } else if (same(f[0], T("model"))) {
    *last_model = add_model(of, f);
    return *last_model != 0;
  } else {
    return *last_model && add_to_model(of, *last_model, f);
  }
  return 1;
}

plan *plan_of(text source) {
  plan *of = allocate(sizeof *of);
  tenant *last = 0;
  model *last_model = 0;
  of->references = 1;
  of->source = copy_of(source);
  of->active = named_level(T("active"), NO_TEXT, NO_TEXT);
  char *at = (char *)of->source.p, *end = at + of->source.n;
  while (at < end) {
    char *stop = memchr(at, '\n', (size)(end - at));
    if (!stop) stop = end;
    text f[FIELDS] = { { 0, 0 } };
    fields_of(at, (size)(stop - at), f);
    if (!read_line(of, f, &last, &last_model)) {
      release_plan(of);
      return 0;
    }
    at = stop + 1;
  }
  if (of->hosts) number_targets(of);
  return of;
}

void release_plan(plan *of) {
  if (add_to(&of->references, -1) != 1) return;
  for (size i = 0; i < SLOTS; i++) {
    cached_key *each = (cached_key *)of->cached_key[i];
    if (each) free((char *)each->sent.p);
    free(each);
  }
  release_hosts(of);
  while (of->blocks) {
    block *next = of->blocks->next;
    free(of->blocks);
    of->blocks = next;
  }
  free((char *)of->source.p);
  free(of);
}
