// One attempt at a host: its key, its path, its Host header and its own name for the model; and whether its answer is one.
// Attempts of one request share their headers, so that each overwrites what the one before has written; the body each has
// as it came.

#include "corral.h"

enum {
  LONGEST_REST = 3600, // seconds; a host that asks for more is tried again by then
  LONGEST_EVENT = 65536, // bytes; a stream whose first event is longer is not held back for it
  LONGEST_MEMBER = 64, // of a body, by which a host is told a session
  MUCH_SPACE = 64,     // bytes at either end of an answer that are searched for its first and last sign
};

static void set_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, REQUEST_HEADERS, name, value);
}

// The client's own word on its session stands.
static void tell_session(request *r, void *filter, const host *at) {
  char digits[17];
  text own = NO_TEXT;
  size count = 0;
  if (!r->session || same(r->hinted, at->session_header)) return;
  if (r->hinted.n) set_header(filter, r->hinted, NO_TEXT);
  r->hinted = NO_TEXT;
  if (!at->session_header.n) return;
  if (envoy(http_get_header)(filter, REQUEST_HEADERS, at->session_header, &own, 0, &count)) return;
  set_header(filter, at->session_header, hint_of(r->session, digits));
  r->hinted = at->session_header;
}

// What an attempt changes of the body, in the order of their places.
typedef struct {
  edit list[EDITS + 2]; // the model's name and the session among them
  u32 count;
  char session[LONGEST_MEMBER + 32];
} changes;

static void add_change(changes *to, edit change) {
  u32 at = to->count++;
  for (; at && to->list[at - 1].from > change.from; at--) to->list[at] = to->list[at - 1];
  to->list[at] = change;
}

static void find_changes(const request *r, const target *at, changes *to) {
  char digits[17];
  text member = at->host->session_member;
  to->count = 0;
  add_change(to, (edit){ r->name.from, r->name.to, at->json_id });
  for (u32 i = r->adds_options && r->refuses_options ? 1 : 0; i < r->edit_count; i++) add_change(to, r->edits[i]);
  if (!r->takes_cache_key || !member.n || member.n > LONGEST_MEMBER) return;
  int n = snprintf(to->session, sizeof to->session, ",\"%.*s\":\"%s\"", (int)member.n, member.p,
                   hint_of(r->session, digits).p);
  add_change(to, (edit){ r->name.to, r->name.to, { to->session, (size)n } });
}

static size length_with(const request *r, const changes *of) {
  size length = r->length;
  for (u32 i = 0; i < of->count; i++) length += of->list[i].by.n - (of->list[i].to - of->list[i].from);
  return length;
}

// With a reference to it.
static request *request_of(void *filter) {
  double address;
  if (!envoy(http_get_metadata_number)(filter, DYNAMIC_METADATA, T("corral"), T("request"), &address)) {
    return taken_copy(filter);
  }
  request *r = (request *)(u64)address;
  if (!r->target) return 0;
  if (r->copy && !r->attempts) set_header(filter, T("x-corral-mirror"), NO_TEXT);
  add_to(&r->references, 1);
  return r;
}

int attempt_headers(attempt *of, void *filter) {
  header all[MOST_HEADERS];
  request *r = request_of(filter);
  size count = all_headers(filter, REQUEST_HEADERS, all);
  text key = r && r->target->host->key.p ? r->target->host->header : NO_TEXT;
  hide(filter, REQUEST_HEADERS, &of->hidden->of_requests, all, count, key);
  if (!r) return CONTINUE;
  of->request = r;
  of->target = r->attempted = r->target;
  r->started = 1;
  r->running = of;
  r->attempts++;
  r->refused_status = 0;
  if (key.n) set_header(filter, key, of->target->host->key);
  tell_session(r, filter, of->target->host);
  char digits[24];
  buffer path = { 0, 0, 0 };
  changes change;
  add(&path, of->target->host->path);
  add(&path, r->endpoint);
  set_header(filter, T(":path"), all_of(&path));
  free(path.p);
  set_header(filter, T(":authority"), of->target->host->authority);
  find_changes(r, of->target, &change);
  set_header(filter, T("content-length"), digits_of((i64)length_with(r, &change), digits));
  return CONTINUE;
}

static void rewrite_body(const attempt *of, void *filter) {
  const request *r = of->request;
  whole body = whole_body(filter, REQUEST_HELD, REQUEST_PIECE);
  changes change;
  find_changes(r, of->target, &change);
  boolean needs_none = change.count == 1 && same(part(body.t, r->name.from, r->name.to), of->target->json_id);
  if (body.t.n == r->length && !needs_none) {
    buffer to = { 0, 0, 0 };
    size behind = 0;
    for (u32 i = 0; i < change.count; i++) {
      add(&to, part(body.t, behind, change.list[i].from));
      add(&to, change.list[i].by);
      behind = change.list[i].to;
    }
    add(&to, part(body.t, behind, body.t.n));
    replace_body(filter, REQUEST_HELD, REQUEST_PIECE, all_of(&to));
    free(to.p);
  }
  free(body.own);
}

int attempt_body(attempt *of, void *filter, boolean ended) {
  if (!of->request || of->replaced) return PASS;
  if (!ended) return HOLD;
  of->replaced = 1;
  rewrite_body(of, filter);
  return PASS;
}

static void set_answer_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, RESPONSE_HEADERS, name, value);
}

// A host that refuses a stream in which it is asked for its usage may take it without: that was the gateway's own wish.
static boolean refuses_options(request *r, i64 status) {
  if ((status != 400 && status != 422) || r->refuses_options || !r->adds_options) return 0;
  return r->refuses_options = 1;
}

// By a status that the route sends on; where nobody is left, the client gets the host's own.
static void ask_another(request *r, void *filter, i64 status) {
  r->refused_status = status;
  set_answer_header(filter, T(":status"), T("498"));
}

// A host of several that says for how long it takes no more is left out until then.
static void is_throttled(const attempt *of, text value) {
  const i64 second = 1000000;
  i64 at = now(), seconds = number(value), till = -1, longest = at + LONGEST_REST * second;
  size digits = 0;
  while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9') digits++;
  if (seconds >= 0 && digits == value.n) {
    till = seconds > LONGEST_REST ? longest : at + seconds * second;
  } else {
    till = date_of(value) * second;
  }
  if (till > at) throttle(of->target, till < longest ? till : longest);
}

static boolean is_of_json(text kind) {
  if (!kind.p || starts_but_case(kind, T("application/json"))) return 1;
  for (size at = 0; at < kind.n; at++) {
    if (starts_but_case(part(kind, at, kind.n), T("json"))) return 1;
  }
  return 0;
}

static boolean is_whole_json(text kind, text body) {
  size first = skip_blank(part(body, 0, MUCH_SPACE), 0), last = body.n;
  while (last && body.n - last < MUCH_SPACE && is_blank(body.p[last - 1])) last--;
  return first < body.n && body.p[first] == '{' && last && body.p[last - 1] == '}' && is_of_json(kind);
}

// Behind a key that stands at this place and its colon; the text's end: it does not.
static size behind_key(text body, size at, text quoted) {
  if (!starts(part(body, at, body.n), quoted)) return body.n;
  at = skip_blank(body, at + quoted.n);
  return at < body.n && body.p[at] == ':' ? skip_blank(body, at + 1) : body.n;
}

// Of OpenAI's shape, or of Anthropic's.
static boolean is_error(text body) {
  size first = skip_blank(body, skip_blank(body, 0) + 1), at = behind_key(body, first, T("\"error\""));
  if (at < body.n) return body.p[at] == '{' || body.p[at] == '"';
  at = behind_key(body, first, T("\"type\""));
  return starts(part(body, at, body.n), T("\"error\""));
}

boolean is_answer(void *filter, text body) {
  return is_whole_json(header_of(filter, RESPONSE_HEADERS, T("content-type")), body) && !is_error(body);
}

static const char BAD_ANSWER[] =
  "{\"error\":{\"message\":\"The answer of the host is not the JSON it should be.\",\"type\":\"server_error\","
  "\"code\":\"bad_answer\",\"param\":null}}";

static void fail(void *filter, boolean has_body) {
  set_answer_header(filter, T(":status"), T("502"));
  set_answer_header(filter, T("content-type"), T("application/json"));
  if (!has_body) return;
  text body = { BAD_ANSWER, sizeof BAD_ANSWER - 1 };
  char digits[24];
  replace_body(filter, RESPONSE_HELD, RESPONSE_PIECE, body);
  set_answer_header(filter, T("content-length"), digits_of((i64)body.n, digits));
}

static void judge_attempt(attempt *of, i64 status, boolean failed) {
  of->judged = 1;
  of->request->running = 0;
  of->request->last_status = status;
  judge(of->request, of->target, status, failed);
}

// Of a status what counts towards leaving a host out: 501 and above.
static boolean ejects(i64 status) { return status > 500; }

// An answer that is not streamed waits until it is whole: where it breaks off, or is none, another host answers.  A stream
// waits for its first event, which may say that there will be none; what the rest is worth is known at its end.
int attempt_answer(attempt *of, void *filter, boolean ended) {
  if (!of->request) return CONTINUE;
  header all[MOST_HEADERS];
  size count = all_headers(filter, RESPONSE_HEADERS, all);
  head answer = head_of(all, count);
  hide(filter, RESPONSE_HEADERS, &of->hidden->of_answers, all, count, NO_TEXT);
  i64 status = of->status = number(answer.status);
  if (of->request->is_copy) return copy_answer(of, filter, answer.kind, ended);
  if (status == 429) is_throttled(of, answer.retry_after);
  if (status != 200) {
    if (refuses_options(of->request, status) || answer.lacks) ask_another(of->request, filter, status);
    judge_attempt(of, status, ejects(status));
    return CONTINUE;
  }
  if (ended) {
    judge_attempt(of, 502, 1);
    fail(filter, 0);
    return CONTINUE;
  }
  of->opens = starts_but_case(answer.kind, T("text/event-stream"));
  of->waits = !of->opens;
  return STOP;
}

// The object in an event, as an answer of its own; what there is instead of it where there is none.
static void fail_as(void *filter, text event) {
  char digits[24];
  size from = 0, to = event.n;
  fail(filter, 1);
  if (!find(event, T("{"), &from)) return;
  while (event.p[to - 1] != '}' && to > from) to--;
  text body = part(event, from, to);
  if (!body.n) return;
  replace_body(filter, RESPONSE_HELD, RESPONSE_PIECE, body);
  set_answer_header(filter, T("content-length"), digits_of((i64)body.n, digits));
}

// Whether it is known by now that a stream begins, or that it does not.
static boolean has_begun(attempt *of, void *filter, boolean ended) {
  whole body = whole_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  size first = event_end(body.t, 0);
  if (!first && !ended && body.t.n < LONGEST_EVENT) {
    free(body.own);
    return 0;
  }
  buffer event = { 0, 0, 0 };
  add(&event, part(body.t, 0, first ? first : body.t.n));
  free(body.own);
  marks first_marks = marks_of(all_of(&event));
  of->opens = 0;
  if (!event.n || tells_failure(all_of(&event), &first_marks)) {
    judge_attempt(of, 502, 1);
    fail_as(filter, all_of(&event));
    of->fails = 1;
  }
  free(event.p);
  return 1;
}

int attempt_answer_body(attempt *of, void *filter, boolean ended) {
  if (!of->request) return PASS;
  if (of->fails) replace_body(filter, RESPONSE_HELD, RESPONSE_PIECE, NO_TEXT); // what follows the event that told it
  if (of->judged) return PASS;
  if (of->request->is_copy) return copy_answer_body(of, filter, ended);
  if (of->opens && !has_begun(of, filter, ended)) return HOLD;
  if (of->judged) return PASS;
  if (!of->waits) { // a stream, which the gateway's filter judges
    of->judged = ended;
    if (ended) of->request->running = 0;
    return PASS;
  }
  if (!ended) return HOLD;
  of->waits = 0;
  whole body = whole_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  boolean is_json = is_whole_json(header_of(filter, RESPONSE_HEADERS, T("content-type")), body.t),
          failed = !is_json || is_error(body.t);
  judge_attempt(of, failed ? 502 : 200, failed);
  if (!is_json) {
    fail(filter, 1);
  } else if (failed) {
    set_answer_header(filter, T(":status"), T("502"));
  }
  free(body.own);
  return PASS;
}

// An attempt that ends without an answer, or within one, has failed.
void end_attempt(attempt *of) {
  if (of->request && of->request->is_copy) {
    end_copy_attempt(of);
    release_request(of->request);
    return;
  }
  if (of->request && !of->judged && !of->request->over) judge_attempt(of, 0, 1);
  release_request(of->request);
}

// But not where its client has left.
void abandon_attempt(request *r, void *filter) {
  attempt *of = r->running;
  text details = NO_TEXT;
  if (!of) return;
  envoy(http_filter_get_attribute_string)(filter, RESPONSE_CODE_DETAILS, &details);
  if (!starts(details, T("downstream_"))) {
    judge_attempt(of, 0, 1);
    return;
  }
  of->judged = 1;
  r->running = 0;
  leave_place(r);
  count_attempt(r, of->target, of->status);
}
