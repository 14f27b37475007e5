// Some requests of a model are copied to a candidate, and what became of both is written down side by side, in numbers.
//
// The copy is made by Envoy when the request has been read, and its answer is thrown away: no client waits for it.  It has
// a `request` of its own, of no tenant, which its attempt finds by a header that hosts never see.  It is in
// a table until its attempt takes it; where none does, it goes with the request that it is of.

#include "corral.h"

enum {
  MOST_COPIES = 256,      // whose attempts have not begun
  MOST_UNDER_WAY = 100,   // of a model; a candidate that hangs gets no more
  LONGEST_TAIL = 16384,   // bytes of a stream's end, in which its usage is
  LARGEST_FILE = 67108864 // bytes; then it is renamed, and the one before it goes
};

// A copy by its number; -1: somebody is about to put it in, or takes it out; 0: there is none.
static struct {
  i64 number;
  request *copy;
} copies[MOST_COPIES];

static i64 last_number;

static const text HEADER = { "x-corral-mirror", 15 };

boolean add_mirror(plan *of, model *to, const text *f) {
  mirror *fresh = of_plan(of, sizeof *fresh);
  if (!read_target(of, to, f, &fresh->target) || fresh->target.weight > 100) return 0;
  fresh->turns = named_level(T("mirror"), NO_TEXT, to->name);
  fresh->active = named_level(T("mirrored"), NO_TEXT, to->name);
  fresh->file = f[9];
  to->mirror = fresh;
  return 1;
}

static boolean is_for(const mirror *of, const tenant *tenant) {
  for (const residency *each = of->none; each; each = each->next) {
    if (same(each->name, tenant->residency)) return 0;
  }
  return 1;
}

static request *take_out(i64 number) {
  for (u32 i = 0; number && i < MOST_COPIES; i++) {
    i64 expected = number;
    if (!swap(&copies[i].number, &expected, -1)) continue;
    request *copy = copies[i].copy;
    set_to(&copies[i].number, 0);
    return copy;
  }
  return 0;
}

// Its number; 0: there is no room.
static i64 put(request *copy) {
  for (u32 i = 0; i < MOST_COPIES; i++) {
    i64 expected = 0, number = add_to(&last_number, 1) + 1;
    if (!swap(&copies[i].number, &expected, -1)) continue;
    copies[i].copy = copy;
    set_to(&copies[i].number, number);
    return number;
  }
  return 0;
}

static request *copy_of_request(const request *r) {
  request *copy = allocate(sizeof *copy);
  *copy = (request){
    .references = 1,
    .plan = r->plan,
    .model = r->model,
    .path_size = r->path_size,
    .target = &r->model->mirror->target,
    .is_copy = 1,
    .began = now(),
    .length = r->length,
    .name = r->name,
    .edit_count = r->edit_count,
    .stream = r->stream,
    .adds_options = r->adds_options,
    .session = r->session,
    .takes_cache_key = r->takes_cache_key,
    .traits = r->traits,
  };
  add_to(&copy->plan->references, 1);
  memcpy(copy->path, r->path, r->path_size);
  copy->endpoint = copy_of(r->endpoint);
  copy->id = copy_of(r->id);
  for (u32 i = 0; i < r->edit_count; i++) {
    copy->edits[i] = r->edits[i];
    copy->edits[i].by = copy_of(r->edits[i].by);
  }
  return copy;
}

static traits traits_of(text body, const member *members) {
  double temperature = 1;
  text format = value_at(body, &members[RESPONSE_FORMAT]);
  return (traits){
    .exact = number_at(body, &members[TEMPERATURE], &temperature) && temperature == 0,
    .tools = members[TOOLS].to && !same(value_at(body, &members[TOOLS]), T("null")),
    .json = has(format, T("\"json_object\"")) || has(format, T("\"json_schema\"")),
  };
}

void copy_request(request *r, void *filter, text body, const member *members) {
  const mirror *of = r->model->mirror;
  char digits[17];
  if (!of || next_turn(of->turns, 100) >= of->target.weight || !is_for(of, r->tenant)
      || value_of(&of->active->value) >= MOST_UNDER_WAY)
    return;
  text id = header_of(filter, REQUEST_HEADERS, T("x-request-id"));
  if (!id.p) return;
  r->id = copy_of(id);
  r->traits = traits_of(body, members);
  request *copy = copy_of_request(r);
  add_to(&of->active->value, 1);
  if (!take_place(copy, copy->target, 0) || !(r->copy = put(copy))) {
    release_request(copy);
    return;
  }
  envoy(http_set_header)(filter, REQUEST_HEADERS, HEADER, hint_of((u64)r->copy, digits));
}

request *taken_copy(void *filter) {
  text number = header_of(filter, REQUEST_HEADERS, HEADER);
  if (!number.p) return 0;
  request *copy = take_out((i64)(hexadecimal(number) & 0x7fffffffffffffff));
  envoy(http_set_header)(filter, REQUEST_HEADERS, HEADER, NO_TEXT);
  return copy;
}

void withdraw_copy(request *r) {
  release_request(take_out(r->copy));
  r->copy = 0;
}

void end_copy(request *of) {
  leave_place(of);
  add_to(&of->model->mirror->active->value, -1);
}

// A string's text as what it stands for, as far as JSON within it needs that.
static void add_plain(buffer *to, text quoted) {
  for (size i = 1; i + 1 < quoted.n; i++) {
    char c = quoted.p[i];
    if (c == '\\' && i + 2 < quoted.n) {
      c = quoted.p[++i];
      if (c == 'n' || c == 't' || c == 'r') c = ' ';
    }
    add(to, (text){ &c, 1 });
  }
}

// The value of a key from this place on; its end is where to go on.
static text value_of_key(text t, text quoted, size *at) {
  u32 parts = 0;
  if (!find(t, quoted, at)) return NO_TEXT;
  size from = value_behind(t, *at + quoted.n), to = from;
  *at += quoted.n;
  if (from == t.n || !skip_value(t, &to, &parts)) return NO_TEXT;
  return part(t, from, to);
}

static boolean holds_json(text body) {
  size at = 0, to = 0;
  u32 parts = 0;
  text content = value_of_key(body, T("\"content\""), &at);
  buffer plain = { 0, 0, 0 };
  if (content.n > 1 && content.p[0] == '"') add_plain(&plain, content);
  text t = all_of(&plain);
  to = skip_blank(t, 0);
  boolean is_json = to < t.n && (t.p[to] == '{' || t.p[to] == '[') && skip_value(t, &to, &parts)
                 && skip_blank(t, to) == t.n;
  free(plain.p);
  return is_json;
}

// A number for the functions that are called, and with what; blanks do not count.
static u64 mark_of_calls(text body) {
  static const text KEYS[] = { { "\"name\"", 6 }, { "\"arguments\"", 11 } };
  size at = 0;
  text calls = value_of_key(body, T("\"tool_calls\""), &at);
  u64 mark = 0;
  for (u32 i = 0; i < COUNT(KEYS); i++) {
    for (at = 0;;) {
      text value = value_of_key(calls, KEYS[i], &at);
      if (!value.n) break;
      buffer plain = { 0, 0, 0 }, dense = { 0, 0, 0 };
      add_plain(&plain, value);
      for (size j = 0; j < plain.n; j++) {
        if (!is_blank(plain.p[j])) add(&dense, part(all_of(&plain), j, j + 1));
      }
      mark = mark_of(all_of(&dense), mark + 1);
      free(plain.p);
      free(dense.p);
    }
  }
  return mark;
}

void compare_whole(request *r, text body) {
  if (!r->id.p || !has(body, T("\"choices\""))) return;
  r->traits.compared = 1;
  r->traits.is_json = r->traits.json && holds_json(body);
  if (r->traits.tools) r->traits.calls = mark_of_calls(body);
}

static void add_field(buffer *to, text name, i64 value) {
  add(to, T(",\""));
  add(to, name);
  add(to, T("\":"));
  add_number(to, value);
}

// One line; `unknown` fields are left out.
static void record(const request *r, i64 status) {
  const answer *of = r->answer;
  const traits *t = &r->traits;
  char calls[17];
  i64 at = now();
  buffer to = { 0, 0, 0 };
  add(&to, T("{\"id\":"));
  add_quoted(&to, r->id);
  add(&to, T(",\"model\":"));
  add_quoted(&to, r->model->name);
  add(&to, T(",\"host\":"));
  add_quoted(&to, r->target ? r->target->host->name : NO_TEXT);
  add(&to, r->is_copy ? T(",\"copy\":true") : T(",\"copy\":false"));
  add(&to, r->stream ? T(",\"stream\":true") : T(",\"stream\":false"));
  add_field(&to, T("time"), r->began / 1000);
  add_field(&to, T("status"), status);
  if (r->first_byte) add_field(&to, T("first_byte_ms"), (r->first_byte - r->began) / 1000);
  add_field(&to, T("duration_ms"), (at - r->began) / 1000);
  if (of && of->used.input >= 0) add_field(&to, T("input_tokens"), of->used.input);
  if (of && of->used.input >= 0) add_field(&to, T("output_tokens"), of->used.output);
  if (t->compared && t->json) add(&to, t->is_json ? T(",\"json\":true") : T(",\"json\":false"));
  if (t->compared && t->tools && t->exact) {
    add(&to, T(",\"calls\":"));
    add_quoted(&to, hint_of(t->calls, calls));
  }
  add(&to, T("}\n"));
  append_to(r->model->mirror->file, all_of(&to), LARGEST_FILE);
  free(to.p);
}

void record_served(const request *r) {
  if (!r->copy) return;
  boolean whole = r->answer && !r->answer->failed && (!r->answer->streams || r->answer->ended);
  record(r, !r->answer ? r->status : whole ? 200 : 0);
}

static void finish(attempt *of, i64 status) {
  of->judged = 1;
  record(of->request, status);
}

int copy_answer(attempt *of, void *filter, text kind, boolean ended) {
  request *r = of->request;
  (void)filter;
  if (of->status != 200 || ended) {
    finish(of, of->status == 200 ? 0 : of->status);
    return CONTINUE;
  }
  r->answer = allocate(sizeof *r->answer);
  r->answer->used = (usage){ -1, 0, -1, -1 };
  r->answer->streams = starts_but_case(kind, T("text/event-stream"));
  of->waits = !r->answer->streams;
  return of->waits ? STOP : CONTINUE;
}

static void whole_copy(attempt *of, void *filter) {
  request *r = of->request;
  whole body = whole_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  r->first_byte = now();
  find_usage(body.t, &r->answer->used);
  compare_whole(r, body.t);
  finish(of, is_answer(filter, body.t) ? 200 : 0);
  free(body.own);
}

static void piece_of_copy(attempt *of, void *filter, boolean ended) {
  request *r = of->request;
  answer *to = r->answer;
  whole both = joined(all_of(&to->tail), filter, RESPONSE_PIECE);
  buffer tail = { 0, 0, 0 };
  if (!r->first_byte) r->first_byte = now();
  marks of_piece = marks_of(both.t);
  if (tells_failure(both.t, &of_piece)) to->failed = 1;
  add(&tail, both.t.n > LONGEST_TAIL ? part(both.t, both.t.n - LONGEST_TAIL, both.t.n) : both.t);
  free(to->tail.p);
  to->tail = tail;
  free(both.own);
  if (!ended) return;
  text events = all_of(&to->tail);
  if (is_messages(r) ? !find_messages_usage(events, &to->used) : !find_usage(events, &to->used)) to->used.input = -1;
  marks of_end = marks_of(events);
  finish(of, !to->failed && tells_end(events, &of_end, is_messages(r)) ? 200 : 0);
}

int copy_answer_body(attempt *of, void *filter, boolean ended) {
  if (of->judged) return PASS;
  if (!of->waits) {
    piece_of_copy(of, filter, ended);
    return PASS;
  }
  if (!ended) return HOLD;
  of->waits = 0;
  whole_copy(of, filter);
  return PASS;
}

void end_copy_attempt(attempt *of) {
  if (!of->judged) finish(of, 0);
}
