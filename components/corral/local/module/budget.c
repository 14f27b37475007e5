// What a tenant's requests may cost in a day and in a month, of UTC.
//
// A request that is let through holds the most that it could cost: the tokens that its body could be, and those that it
// lets its answer have, at the dearest of its hosts.  At its end it holds what it has cost, at the host that answered.
// The sums lie in a file that every worker maps: a process that is killed loses none, and what its requests held stays
// counted, as their hosts may bill them.  Python makes the file and gives tenants their places (`corral.local.budgets`).
//
// Money is in millionths of a micro-dollar, of which a token costs a whole number.

#include "corral.h"

enum {
  AROUND_PROMPT = 1024, // tokens at most that a host puts around what it is sent
  MOST_ANSWERS = 1000000,
};
static const i64 MOST = 4000000000000000000; // what is more is as much
static const i64 MICRO_DOLLAR = 1000000, DAY_MICROSECONDS = 86400000000;
static const text MARK = { "corral budgets 1", 17 }; // with its zero

typedef struct {
  char name[64];
  span spans[SPANS];
} record;

static record *records;
static size record_count;
static text mapped; // owned: the path

// What was mapped before stays: requests that are under way may write there.
boolean map_budgets(text path) {
  size n = 0;
  if (same(path, mapped)) return 1;
  record *at = mapped_file(path, sizeof *at, &n);
  if (!at) return 0;
  if (memcmp(at->name, MARK.p, MARK.n)) {
    munmap(at, n);
    return 0;
  }
  free((char *)mapped.p);
  mapped = copy_of(path);
  records = at;
  record_count = n / sizeof *at;
  return 1;
}

static i64 limit_of(text micro_dollars) {
  i64 n = number(micro_dollars);
  return n < 0 ? -1 : n < MOST / MICRO_DOLLAR ? n * MICRO_DOLLAR : MOST;
}

boolean add_budget(plan *of, tenant *to, const text *f) {
  i64 place = number(f[1]);
  if (place < 1 || (size)place >= record_count) return 0;
  to->budget = of_plan(of, sizeof *to->budget);
  *to->budget = (budget){
    .spans = records[place].spans,
    .lock = named_level(T("budget"), to->name, NO_TEXT),
    .limits = { [DAY] = limit_of(f[2]), [MONTH] = limit_of(f[3]) },
    .allows = same(f[4], T("1")),
  };
  return 1;
}

boolean add_price(target *to, const text *f) {
  i64 cached = number(f[3]);
  to->price = (price){ number(f[1]), number(f[2]), cached, number(f[4]), number(f[5]) };
  if (cached < 0) to->price.cached = to->price.input;
  return to->price.input >= 0 && to->price.output >= 0 && to->price.context > 0 && to->price.answer > 0;
}

// ---- days and months

typedef struct {
  i64 year, month, day;
} date;

// Of days since 1970; years begin in March here, as leap days then come last.
static date date_at(i64 days) {
  days += 719468;
  i64 era = days / 146097, of_era = days % 146097;
  i64 year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  i64 of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  return (date){ year + era * 400 + (month > 9), month + (month < 10 ? 3 : -9), of_year - (153 * month + 2) / 5 + 1 };
}

static void numbers_at(i64 at, i64 to[SPANS]) {
  to[DAY] = at / DAY_MICROSECONDS;
  date today = date_at(to[DAY]);
  to[MONTH] = today.year * 12 + today.month - 1;
}

// ---- the sums

static i64 sum(i64 a, i64 b) { return a > MOST - b ? MOST : a + b; }

static i64 product(i64 a, i64 b) { return b && a > MOST / b ? MOST : a * b; }

// A clock that was set back begins no span anew.
static void begin_anew(span *of, i64 number) {
  if (of->number >= number) return;
  of->used = 0;
  of->number = number;
}

// Holds an amount in both spans, or in neither, in which case `left` is what was left of `full`.
boolean hold_money(const budget *of, i64 amount, i64 at, held *to, u32 *full, i64 *left) {
  i64 numbers[SPANS];
  boolean fits = 1;
  numbers_at(at, numbers);
  lock(&of->lock->value);
  for (u32 i = 0; i < SPANS; i++) {
    span *each = &of->spans[i];
    begin_anew(each, numbers[i]);
    to->numbers[i] = each->number;
    if (of->limits[i] < 0 || of->allows || !amount || amount <= of->limits[i] - each->used) continue;
    fits = 0;
    *full = i;
    *left = of->limits[i] > each->used ? of->limits[i] - each->used : 0;
  }
  for (u32 i = 0; fits && i < SPANS; i++) of->spans[i].used = sum(of->spans[i].used, amount);
  unlock(&of->lock->value);
  to->amount = amount;
  return fits;
}

// What was held becomes what it has cost, in the day and the month in which it was held.
void settle_money(const budget *of, const held *was, i64 cost) {
  lock(&of->lock->value);
  for (u32 i = 0; i < SPANS; i++) {
    span *each = &of->spans[i];
    if (each->number == was->numbers[i]) each->used = sum(each->used - was->amount, cost);
  }
  unlock(&of->lock->value);
}

// ---- what a request could cost

// How many texts there are in an input: each of a list, but one where the list is of tokens.
static i64 texts_in(text value) {
  size at = skip_blank(value, 1);
  u32 parts = 0;
  i64 count = 0;
  if (!value.n || value.p[0] != '[') return 1;
  while (at < value.n && value.p[at] != ']' && !(value.p[at] >= '0' && value.p[at] <= '9')) {
    if (!skip_value(value, &at, &parts)) break;
    count++;
    at = skip_blank(value, at);
    if (at < value.n && value.p[at] == ',') at = skip_blank(value, at + 1);
  }
  return count ? count : 1;
}

static i64 answers_of(text body, const member *members) {
  static const u32 COUNTS[2] = { CHOICES, BEST_OF };
  double most = 1, value;
  for (u32 i = 0; i < COUNT(COUNTS); i++) {
    if (number_at(body, &members[COUNTS[i]], &value) && value > most) most = value;
  }
  return most < MOST_ANSWERS ? (i64)most : MOST_ANSWERS;
}

// Whether there is something in it whose tokens its length does not bound.
static boolean refers(text body, const member *members) {
  static const text KINDS[] = { { "\"image", 6 },        { "\"input_image", 12 }, { "\"file", 5 }, { "\"input_file", 11 },
                                { "\"input_audio", 12 }, { "\"audio", 6 },        { "\"video", 6 } };
  for (u32 i = 0; i < COUNT(KINDS); i++) {
    if (has(body, KINDS[i])) return 1;
  }
  return !same(value_at(body, &members[PREVIOUS_RESPONSE_ID]), T("null"));
}

static bound bound_of(const request *r, text body, const member *members) {
  text path = { r->path, r->path_size };
  boolean embeds = same(path, T("/v1/embeddings")), ranks = same(path, T("/v1/rerank"));
  i64 texts = 1, length = (i64)body.n, answers = answers_of(body, members);
  double longest = longest_answer(body, members);
  if (same(path, T("/v1/completions"))) texts = texts_in(value_at(body, &members[PROMPT]));
  if (embeds) texts = texts_in(value_at(body, &members[INPUT]));
  if (ranks) { // the query is read with each document; quotes are at least twice as many as those
    for (size i = 0; i < body.n; i++) texts += body.p[i] == '"';
    length = product(length, texts);
  }
  if (members[TOOLS].to) length *= 2; // they are laid out anew
  return (bound){
    .prompt = refers(body, members) ? MOST : sum(length, product(AROUND_PROMPT, texts)),
    .texts = texts,
    .answer = embeds || ranks                ? 0
            : longest < 1 || longest >= MOST ? MOST
                                             : (i64)longest,
    .answers = product(answers, texts),
  };
}

static i64 least(i64 a, i64 b) { return a < b ? a : b; }

static i64 prompt_at(const request *r, const target *of) {
  return least(r->bound.prompt, product(of->price.context, r->bound.texts));
}

static i64 answer_at(const request *r, const target *of) {
  return product(least(r->bound.answer, of->price.answer), r->bound.answers);
}

static i64 most_at(const request *r, const target *of) {
  i64 dearer = of->price.cached > of->price.input ? of->price.cached : of->price.input;
  return sum(product(prompt_at(r, of), dearer), product(answer_at(r, of), of->price.output));
}

// ---- a refusal

// To the micro-dollar: what is asked for upwards, what is left downwards.
static void add_dollars(buffer *to, i64 amount, boolean upwards) {
  char digits[32];
  i64 micro = (amount + (upwards ? MICRO_DOLLAR - 1 : 0)) / MICRO_DOLLAR;
  size n = (size)snprintf(digits, sizeof digits, "$%ld.%06ld", micro / MICRO_DOLLAR, micro % MICRO_DOLLAR);
  while (digits[n - 1] == '0' && digits[n - 3] != '.') n--;
  add(to, (text){ digits, n });
}

static void refuse_money(request *r, void *filter, i64 amount, u32 full, i64 left) {
  static const text NAMES[SPANS] = { { "day", 3 }, { "month", 5 } };
  static const text NO_RETRY = { "x-should-retry", 14 };
  char anew[64], seconds[24];
  i64 at = now(), today = at / DAY_MICROSECONDS;
  date next = date_at(today + 1);
  if (full == MONTH) {
    next = date_at(today);
    next = (date){ next.year + next.month / 12, next.month % 12 + 1, 1 };
  }
  size n = (size)snprintf(anew, sizeof anew, ", which ends %04ld-%02ld-%02ldT00:00:00Z", next.year, next.month, next.day);
  buffer message = { 0, 0, 0 };
  add(&message, T("This request could cost "));
  add_dollars(&message, amount, 1);
  add(&message, T(", and tenant "));
  add(&message, r->tenant->name);
  add(&message, T(" has "));
  add_dollars(&message, left, 0);
  add(&message, T(" left of its "));
  add_dollars(&message, r->tenant->budget->limits[full], 0);
  add(&message, T(" of the "));
  add(&message, NAMES[full]);
  add(&message, (text){ anew, n });
  add(&message, T(". A request that limits its answer could cost less."));
  header more[2] = { { NO_RETRY, { "false", 5 } }, { { "retry-after", 11 }, { seconds, 0 } } };
  more[1].value.n = (size)snprintf(seconds, sizeof seconds, "%ld", ((today + 1) * DAY_MICROSECONDS - at) / 1000000 + 1);
  r->limited = BY_BUDGET;
  refuse(filter, 429, T("insufficient_quota"), all_of(&message), T("insufficient_quota"), NO_TEXT, more,
         full == DAY ? 2 : 1);
  free(message.p);
}

// ---- a request

boolean reserve(request *r, void *filter, text body, const member *members) {
  i64 amount = 0, left = 0;
  u32 full = 0;
  if (!r->tenant->budget) return 1;
  r->bound = bound_of(r, body, members);
  for (u32 i = 0; i < r->model->count; i++) {
    i64 most = r->allowed >> i & 1 ? most_at(r, &r->model->targets[i]) : 0;
    if (most > amount) amount = most;
  }
  r->holds = hold_money(r->tenant->budget, amount, now(), &r->held, &full, &left);
  if (!r->holds) refuse_money(r, filter, amount, full, left);
  return r->holds;
}

// Whether the last host that was asked has not answered, though it may be at it: it was given up, or its client left.
static boolean is_unanswered(const request *r, void *filter) {
  static const text NEVER_SENT[] = { { "connection_failure", 18 }, { "connection_timeout", 18 }, { "overflow", 8 } };
  text details = NO_TEXT;
  if (!r->running && r->last_status) return 0;
  if (filter) envoy(http_filter_get_attribute_string)(filter, RESPONSE_CODE_DETAILS, &details);
  for (u32 i = 0; i < COUNT(NEVER_SENT); i++) {
    if (has(details, NEVER_SENT[i])) return 0;
  }
  return 1;
}

// What is not told of an answer is taken to be as much as it could be.
static i64 cost_of(const request *r, void *filter) {
  const target *of = r->attempted;
  const answer *a = r->answer;
  if (!r->attempts) return 0;
  if (!a) return is_unanswered(r, filter) ? most_at(r, of) : 0;
  i64 input = a->used.input < 0 ? prompt_at(r, of) : a->used.input, output = a->used.output;
  i64 cached = a->used.cached < 0 ? 0 : least(a->used.cached, input);
  if (!a->by_host && !a->streams) output = least(answer_at(r, of), a->length);
  i64 prompt = sum(product(input - cached, of->price.input), product(cached, of->price.cached));
  return sum(prompt, product(output, of->price.output));
}

void settle(request *r, void *filter) {
  if (!r->holds) return;
  r->holds = 0;
  settle_money(r->tenant->budget, &r->held, cost_of(r, filter));
}
