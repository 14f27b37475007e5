// One attempt at a host: its key, its path, its Host header and its own name for the model; and whether its answer is one.
// Attempts of one request share their headers, so that each overwrites what the one before has written; the body each has
// as it came.

#include "corral.h"

enum {
  LONGEST_REST = 3600, // seconds; a host that asks for more is tried again by then
  MUCH_SPACE = 64,     // bytes at either end of an answer that are searched for its first and last sign
  LONGEST_KEY_FILE = 65536,
};

// A file's contents, without blanks at its end; owned by the caller.  `p` is 0: it cannot be read.
static text contents_of(text path) {
  buffer read_so_far = { 0, 0, 0 };
  char name[1024], piece[4096];
  if (path.n >= sizeof name) return NO_TEXT;
  memcpy(name, path.p, path.n);
  name[path.n] = 0;
  int file = open(name, 0);
  if (file < 0) return NO_TEXT;
  for (i64 n; (n = read(file, piece, sizeof piece)) > 0 && read_so_far.n < LONGEST_KEY_FILE;) {
    add(&read_so_far, (text){ piece, (size)n });
  }
  close(file);
  while (read_so_far.n && is_blank(read_so_far.p[read_so_far.n - 1])) read_so_far.n--;
  return all_of(&read_so_far);
}

// The text has a line for each upstream: its name, the header that its key goes into, and the file with that header's
// value, with tabs between; without a key the last two are not there.  0: a file cannot be read.
upstreams *upstreams_of(text source) {
  upstreams *of = allocate(sizeof *of);
  of->source = copy_of(source);
  source = of->source;
  for (size at = 0; at < source.n;) {
    size stop = at, first, second;
    if (!find(source, T("\n"), &stop)) stop = source.n;
    text line = part(source, at, stop);
    upstream *fresh = allocate(sizeof *fresh);
    fresh->next = of->upstreams;
    of->upstreams = fresh;
    first = 0;
    fresh->name = line;
    if (find(line, T("\t"), &first)) {
      fresh->name = part(line, 0, first);
      second = first + 1;
      if (find(line, T("\t"), &second)) {
        fresh->header = part(line, first + 1, second);
        fresh->key = contents_of(part(line, second + 1, line.n));
      }
      if (!fresh->key.p) {
        release_upstreams(of);
        return 0;
      }
    }
    at = stop + 1;
  }
  return of;
}

void release_upstreams(upstreams *of) {
  while (of->upstreams) {
    upstream *next = of->upstreams->next;
    free((char *)of->upstreams->key.p);
    free(of->upstreams);
    of->upstreams = next;
  }
  free((char *)of->source.p);
  free(of);
}

static const upstream *find_upstream(const upstreams *of, text name) {
  for (const upstream *each = of->upstreams; each; each = each->next) {
    if (same(each->name, name)) return each;
  }
  return 0;
}

static void set_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, REQUEST_HEADERS, name, value);
}

// What a member of a model's clusters says of itself.
static text of_host(void *filter, text key) {
  text value = NO_TEXT;
  return envoy(http_get_metadata_string)(filter, HOST_METADATA, T("corral"), key, &value) ? value : NO_TEXT;
}

static void set_key(void *filter, const upstream *at) {
  set_header(filter, T("authorization"), NO_TEXT);
  set_header(filter, T("api-key"), NO_TEXT);
  if (at && at->key.p) set_header(filter, at->header, at->key);
}

static boolean counts(const request *r, u32 edit) { return edit > 0 || !(r->adds_options && r->refuses_options); }

static size length_for(const request *r, text id) {
  size length = r->length - (r->name.to - r->name.from) + id.n;
  for (u32 i = 0; i < r->edit_count; i++) {
    if (counts(r, i)) length += r->edits[i].by.n - (r->edits[i].to - r->edits[i].from);
  }
  return length;
}

int attempt_headers(attempt *of, void *filter, const upstreams *at) {
  double address;
  if (!envoy(http_get_metadata_number)(filter, DYNAMIC_METADATA, T("corral"), T("request"), &address)) return CONTINUE;
  request *r = of->request = (request *)(u64)address;
  add_to(&r->references, 1);
  set_key(filter, find_upstream(at, of_host(filter, T("link"))));
  of->host = copy_of(of_host(filter, T("host")));
  buffer id = { 0, 0, 0 };
  add(&id, of_host(filter, T("json_id")));
  of->id = all_of(&id);
  buffer path = { 0, 0, 0 };
  add(&path, of_host(filter, T("path")));
  add(&path, r->endpoint);
  set_header(filter, T(":path"), all_of(&path));
  free(path.p);
  set_header(filter, T(":authority"), of_host(filter, T("authority")));
  buffer length = { 0, 0, 0 };
  add_number(&length, (i64)length_for(r, of->id));
  set_header(filter, T("content-length"), all_of(&length));
  free(length.p);
  return CONTINUE;
}

// The edits in the order of their places, the model's name among them.
static u32 edits_of(const request *r, text id, edit to[EDITS + 1]) {
  u32 count = 0;
  to[count++] = (edit){ r->name.from, r->name.to, id };
  for (u32 i = 0; i < r->edit_count; i++) {
    if (!counts(r, i)) continue;
    u32 at = count++;
    for (; at && to[at - 1].from > r->edits[i].from; at--) to[at] = to[at - 1];
    to[at] = r->edits[i];
  }
  return count;
}

static boolean changes_nothing(const request *r, text body, text id) {
  return same(part(body, r->name.from, r->name.to), id) && !(r->edit_count > 1 || (r->edit_count && counts(r, 0)));
}

static void rewrite_body(const attempt *of, void *filter) {
  const request *r = of->request;
  whole body = whole_body(filter, REQUEST_HELD, REQUEST_PIECE);
  if (body.t.n != r->length || changes_nothing(r, body.t, of->id)) {
    free(body.own);
    return;
  }
  edit edits[EDITS + 1];
  buffer to = { 0, 0, 0 };
  size behind = 0;
  u32 count = edits_of(r, of->id, edits);
  for (u32 i = 0; i < count; i++) {
    add(&to, part(body.t, behind, edits[i].from));
    add(&to, edits[i].by);
    behind = edits[i].to;
  }
  add(&to, part(body.t, behind, body.t.n));
  drain_body(filter, REQUEST_HELD, REQUEST_PIECE);
  if (!envoy(http_append_body)(filter, REQUEST_PIECE, all_of(&to))) {
    envoy(http_append_body)(filter, REQUEST_HELD, all_of(&to));
  }
  free(to.p);
  free(body.own);
}

int attempt_body(attempt *of, void *filter, boolean ended) {
  if (!of->request || of->replaced) return PASS;
  if (!ended) return HOLD;
  of->replaced = 1;
  rewrite_body(of, filter);
  return PASS;
}

static text answer_header(void *filter, text name) {
  text value = NO_TEXT;
  size n = 0;
  return envoy(http_get_header)(filter, RESPONSE_HEADERS, name, &value, 0, &n) ? value : NO_TEXT;
}

static void set_answer_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, RESPONSE_HEADERS, name, value);
}

// A host that refuses a stream in which it is asked for its usage may take it without: that was the gateway's own wish.
static void is_refused(const attempt *of, void *filter) {
  request *r = of->request;
  if (r->refuses_options || !r->adds_options) return;
  r->refuses_options = 1;
  set_answer_header(filter, T("x-corral-unsupported"), T("stream_options"));
}

// A host of several that says for how long it takes no more is left out until then.
static void is_throttled(const attempt *of, void *filter) {
  const i64 second = 1000000;
  text said = answer_header(filter, T("retry-after"));
  i64 at = now(), seconds = number(said), till = -1, longest = at + LONGEST_REST * second;
  size digits = 0;
  while (digits < said.n && said.p[digits] >= '0' && said.p[digits] <= '9') digits++;
  if (seconds >= 0 && digits == said.n) {
    till = seconds > LONGEST_REST ? longest : at + seconds * second;
  } else {
    till = date_of(said) * second;
  }
  if (till > at) throttle(of->request->variant, of->host, till < longest ? till : longest);
}

static boolean is_whole_json(text kind, text body) {
  size first = skip_blank(part(body, 0, MUCH_SPACE), 0), last = body.n, json = 0;
  buffer lower = { 0, 0, 0 };
  for (size i = 0; i < kind.n; i++) {
    char c = kind.p[i] >= 'A' && kind.p[i] <= 'Z' ? (char)(kind.p[i] + 32) : kind.p[i];
    add(&lower, (text){ &c, 1 });
  }
  boolean is_json = !kind.p || find(all_of(&lower), T("json"), &json);
  free(lower.p);
  while (last && body.n - last < MUCH_SPACE && is_blank(body.p[last - 1])) last--;
  return is_json && first < body.n && body.p[first] == '{' && last && body.p[last - 1] == '}';
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

static const char BAD_ANSWER[] =
  "{\"error\":{\"message\":\"The answer of the host is not the JSON it should be.\",\"type\":\"server_error\","
  "\"code\":\"bad_answer\",\"param\":null}}";

static void fail(void *filter, boolean has_body) {
  set_answer_header(filter, T(":status"), T("502"));
  set_answer_header(filter, T("content-type"), T("application/json"));
  if (!has_body) return;
  text body = { BAD_ANSWER, sizeof BAD_ANSWER - 1 };
  char digits[24];
  drain_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  if (!envoy(http_append_body)(filter, RESPONSE_PIECE, body)) envoy(http_append_body)(filter, RESPONSE_HELD, body);
  set_answer_header(filter, T("content-length"), (text){ digits, (size)snprintf(digits, sizeof digits, "%ld", (i64)body.n) });
}

// An answer that is not streamed waits until it is whole: where it breaks off, or is none, another host answers.
int attempt_answer(attempt *of, void *filter, boolean ended) {
  if (!of->request) return CONTINUE;
  i64 status = number(answer_header(filter, T(":status")));
  if (status == 400 || status == 422) is_refused(of, filter);
  if (status == 429) is_throttled(of, filter);
  if (status != 200) return CONTINUE;
  if (starts_but_case(answer_header(filter, T("content-type")), T("text/event-stream"))) return CONTINUE;
  if (ended) {
    fail(filter, 0);
    return CONTINUE;
  }
  of->waits = 1;
  return STOP;
}

int attempt_answer_body(attempt *of, void *filter, boolean ended) {
  if (!of->waits) return PASS;
  if (!ended) return HOLD;
  of->waits = 0;
  whole body = whole_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  if (!is_whole_json(answer_header(filter, T("content-type")), body.t)) {
    fail(filter, 1);
  } else if (is_error(body.t)) {
    set_answer_header(filter, T(":status"), T("502"));
  }
  free(body.own);
  return PASS;
}
