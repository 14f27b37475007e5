// What is left of a request when it is over: a line of the log, and what it adds to the series.
//
// Lines wait in memory until the next time the log is written, twice a second.  The file is opened each time, so that one
// that was renamed is written no further.  What a full disk does not take waits on, up to a bound.

#include "log.h"

enum { MOST_WAITING = 1 << 24, MOST_KEPT = 1 << 22, UNBUFFERED = 2 }; // bytes, both

void *fopen(const char *, const char *);
int setvbuf(void *, char *, int, size);
size fwrite(const void *, size, size, void *);
int fclose(void *);

// Envoy's flags of how a request ended, by their bits.
static const text FLAGS[] = {
  { "LH", 2 }, { "UH", 2 }, { "UT", 2 },  { "LR", 2 },    { "UR", 2 },   { "UF", 2 },   { "UC", 2 }, { "UO", 2 },
  { "NR", 2 }, { "DI", 2 }, { "FI", 2 },  { "RL", 2 },    { "UAEX", 4 }, { "RLSE", 4 }, { "DC", 2 }, { "URX", 3 },
  { "SI", 2 }, { "IH", 2 }, { "DPE", 3 }, { "UMSDR", 5 }, { "RFCF", 4 }, { "NFCF", 4 }, { "DT", 2 }, { "UPE", 3 },
  { "NC", 2 }, { "OM", 2 }, { "DF", 2 },  { "DO", 2 },    { "DR", 2 },   { "UDO", 3 },
};

static i64 locked, writing;
static buffer waiting;
static text file; // with a zero behind it

static size written(text lines) {
  void *to = file.n ? fopen(file.p, "ae") : 0;
  if (!to) return 0;
  setvbuf(to, 0, UNBUFFERED, 0);
  size n = fwrite(lines.p, 1, lines.n, to);
  fclose(to);
  return n;
}

void write_log_to(text path) {
  lock(&locked);
  if (!same(path, file)) {
    free((char *)file.p);
    file = copy_of(path);
  }
  unlock(&locked);
  written(NO_TEXT); // it is there from the beginning
}

static void wait_to_be_written(text line) {
  lock(&locked);
  if (waiting.n < MOST_WAITING) add(&waiting, line);
  unlock(&locked);
}

// The memory of what was written is that of what waits next: to be given back twice a second and taken anew would cost
// more than the lines do.
void write_log(void) {
  static buffer lines;
  lock(&writing);
  lock(&locked);
  buffer spare = lines;
  lines = waiting;
  waiting = spare;
  unlock(&locked);
  size n = lines.n ? written(all_of(&lines)) : 0;
  if (n < lines.n) {
    lock(&locked);
    buffer rest = { 0, 0, 0 };
    add(&rest, part(all_of(&lines), n, lines.n));
    add(&rest, all_of(&waiting));
    free(waiting.p);
    waiting = rest;
    unlock(&locked);
  }
  lines.n = 0;
  if (lines.space > MOST_KEPT) {
    free(lines.p);
    lines = (buffer){ 0, 0, 0 };
  }
  unlock(&writing);
}

// ---- a line

static void add_two(buffer *to, i64 n) {
  char digits[2] = { (char)('0' + n / 10 % 10), (char)('0' + n % 10) };
  add(to, (text){ digits, 2 });
}

// `2026-11-30T08:05:51`, of days since 1970; years begin in March here, as leap days then come last.
static void add_date(buffer *to, i64 seconds) {
  i64 days = seconds / 86400 + 719468, second = seconds % 86400;
  i64 era = days / 146097, of_era = days % 146097;
  i64 year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  i64 of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  i64 day = of_year - (153 * month + 2) / 5 + 1;
  month = month < 10 ? month + 3 : month - 9;
  add_number(to, year + era * 400 + (month < 3));
  add(to, T("-"));
  add_two(to, month);
  add(to, T("-"));
  add_two(to, day);
  add(to, T("T"));
  add_two(to, second / 3600);
  add(to, T(":"));
  add_two(to, second / 60 % 60);
  add(to, T(":"));
  add_two(to, second % 60);
}

static void add_time(logger *of, i64 nanoseconds) {
  i64 milliseconds = nanoseconds / 1000000, second = milliseconds / 1000;
  if (second != of->second) {
    of->date.n = 0;
    add_date(&of->date, second);
    of->second = second;
  }
  add(&of->line, all_of(&of->date));
  char rest[5] = { '.', (char)('0' + milliseconds / 100 % 10), 0, 0, 'Z' };
  rest[2] = (char)('0' + milliseconds / 10 % 10);
  rest[3] = (char)('0' + milliseconds % 10);
  add(&of->line, (text){ rest, 5 });
}

static void add_text(buffer *to, text key, text value) {
  add(to, key);
  if (value.n) {
    add_quoted(to, value);
  } else {
    add(to, T("null"));
  }
}

static void add_count(buffer *to, text key, i64 n) {
  add(to, key);
  if (n < 0) {
    add(to, T("null"));
  } else {
    add_number(to, n);
  }
}

static void add_flag(buffer *to, text key, boolean is_there, boolean value) {
  add(to, key);
  add(to, !is_there ? T("null") : value ? T("true") : T("false"));
}

static void add_flags(buffer *to, u64 flags) {
  size before = to->n;
  for (u32 i = 0; flags && i < COUNT(FLAGS); i++) {
    if (!(flags >> i & 1)) continue;
    if (to->n > before) add(to, T(","));
    add(to, FLAGS[i]);
  }
  if (to->n == before) add(to, T("-"));
}

static text logged_header(void *self, text name) {
  text value = NO_TEXT;
  size n = 0;
  return envoy(access_logger_get_header_value)(self, REQUEST_HEADERS, name, &value, 0, &n) ? value : NO_TEXT;
}

// What is known of a request; of one that the gateway's filter has not seen, nothing is.
typedef struct {
  text tenant, model, route, host, host_model, path, failure, limit, plan, commit; // host_model: with its quotes
  usage used;                                                                       // -1: not known
  i64 began, first_byte, duration;
  u32 status, attempts;
  u64 flags;
  boolean answered;
} record;

static void read_answer(record *of, const request *r) {
  const answer *from = r->answer;
  const usage *used = &from->used;
  of->answered = 1;
  of->failure = from->failure;
  of->used = *used;
  of->first_byte = (r->first_byte - r->began) / 1000;
  if (used->cached < 0 && used->reasoning < 0) return;
  of->used.cached = used->cached < 0 ? 0 : used->cached < used->input ? used->cached : used->input;
  if (used->reasoning < 0) of->used.reasoning = 0;
}

static void read_request(record *of, const request *r) {
  of->path = (text){ r->path, r->path_size };
  if (r->tenant) of->tenant = r->tenant->name;
  if (r->model) {
    of->model = r->model->name;
    of->plan = r->model->hash;
    of->commit = r->plan->commit;
    if (r->admitted) of->route = r->model->name;
  }
  if (r->attempted) {
    of->host = r->attempted->host->name;
    of->host_model = r->attempted->json_id;
  }
  of->limit = LIMIT_NAMES[r->limited];
  if (r->answer && r->answer->noted) read_answer(of, r);
}

static record record_of(void *self, const request *r) {
  i64 times[2 + 6] = { 0, -1 }; // nanoseconds: when it began, and what it took; the others are not read
  record of = { .used = { -1, -1, -1, -1 }, .first_byte = -1 };
  envoy(access_logger_get_timing_info)(self, times);
  of.status = envoy(access_logger_get_response_code)(self);
  of.flags = envoy(access_logger_get_response_flags)(self);
  of.attempts = envoy(access_logger_get_attempt_count)(self);
  of.began = times[0];
  of.duration = times[1] < 0 ? -1 : times[1] / 1000000;
  if (r) read_request(&of, r);
  return of;
}

static void add_line(logger *to, void *self, const record *of, const request *r) {
  buffer *line = &to->line;
  line->n = 0;
  add(line, T("{\"time\":\""));
  add_time(to, of->began);
  add_text(line, T("\",\"id\":"), logged_header(self, T("x-request-id")));
  add_text(line, T(",\"tenant\":"), of->tenant);
  add_text(line, T(",\"model\":"), of->model);
  add_text(line, T(",\"host\":"), of->host);
  add(line, T(",\"host_model\":"));
  add(line, of->host_model.n ? of->host_model : T("null"));
  add_text(line, T(",\"method\":"), logged_header(self, T(":method")));
  add_text(line, T(",\"path\":"), of->path);
  add_flag(line, T(",\"stream\":"), of->model.n > 0, r && r->stream);
  add_count(line, T(",\"status\":"), of->status);
  add_text(line, T(",\"failure\":"), of->failure);
  add_count(line, T(",\"input_tokens\":"), of->used.input);
  add_count(line, T(",\"cached_tokens\":"), of->used.cached);
  add_count(line, T(",\"output_tokens\":"), of->used.output);
  add_count(line, T(",\"reasoning_tokens\":"), of->used.reasoning);
  add_flag(line, T(",\"estimated\":"), of->answered, of->answered && !r->answer->by_host);
  add_count(line, T(",\"first_byte_ms\":"), of->first_byte);
  add_count(line, T(",\"duration_ms\":"), of->duration);
  add_count(line, T(",\"attempts\":"), of->attempts);
  add(line, T(",\"flags\":\""));
  add_flags(line, of->flags);
  add_text(line, T("\",\"plan\":"), of->plan);
  add_text(line, T(",\"commit\":"), of->commit);
  add_text(line, T(",\"limit\":"), of->limit);
  if (r && r->waiter) add_count(line, T(",\"wait_ms\":"), r->waiter->waited / 1000);
  add(line, T("}\n"));
}

// ---- the series

static void label(buffer *to, text key, text value) {
  if (to->n) add(to, T("."));
  add(to, key);
  add(to, T("."));
  add(to, value.n ? value : T("-"));
}

static void count_request(buffer *name, const record *of) {
  name->n = 0;
  label(name, T("tenant"), of->tenant);
  label(name, T("model"), of->route);
  label(name, T("host"), of->host);
  size payer = name->n;
  add(name, T(".code."));
  add_number(name, of->status);
  add(name, T(".end."));
  add_flags(name, of->flags);
  add(name, T("/"));
  add(name, of->failure.n ? of->failure : T("-"));
  series *to = series_of(OF_REQUESTS, all_of(name), payer);
  count(to, REQUESTS_SERVED, 1);
  if (of->used.input > 0) count(to, INPUT_TOKENS, of->used.input);
  if (of->used.output > 0) count(to, OUTPUT_TOKENS, of->used.output);
  if (of->used.cached > 0) count(to, CACHED_TOKENS, of->used.cached);
  if (of->used.reasoning > 0) count(to, REASONING_TOKENS, of->used.reasoning);
}

static series *times_of(buffer *name, const record *of, const request *r) {
  i64 *of_host = r && r->admitted && r->attempted ? &r->attempted->standing->times : 0;
  if (of_host && value_of(of_host)) return (series *)value_of(of_host);
  name->n = 0;
  label(name, T("model"), of->route);
  label(name, T("host"), of->host);
  series *to = series_of(OF_TIMES, all_of(name), 0);
  if (of_host) set_to(of_host, (i64)to);
  return to;
}

static void count_times(buffer *name, const record *of, const request *r) {
  series *to = times_of(name, of, r);
  if (of->duration >= 0) count_time(to, DURATION, of->duration);
  if (of->answered) count_time(to, FIRST_BYTE, of->first_byte);
}

static void count_limit(buffer *name, const record *of) {
  name->n = 0;
  label(name, T("tenant"), of->tenant);
  label(name, T("model"), of->model);
  label(name, T("limit"), of->limit);
  count(series_of(OF_LIMITS, all_of(name), 0), 0, 1);
}

void log_request(logger *to, void *self, const request *r) {
  record of = record_of(self, r);
  add_line(to, self, &of, r);
  wait_to_be_written(all_of(&to->line));
  count_request(&to->name, &of);
  count_times(&to->name, &of, r);
  if (of.limit.n) count_limit(&to->name, &of);
}

void release_logger(logger *of) {
  free(of->line.p);
  free(of->name.p);
  free(of->date.p);
  free(of);
}
