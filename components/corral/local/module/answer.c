// The answer: what it used, what is left, whether it is one at all, and the model under the name that was asked for.  Of a
// stream nothing is kept but the event that has not ended.

#include "corral.h"

enum {
  KEPT = 4096,           // bytes of an event that is not held back, which may hold the beginning of what comes next
  LONGEST_EVENT = 65536, // bytes; a longer one is not held back until it is whole
};

static void set_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, RESPONSE_HEADERS, name, value);
}

// Costs less, for a header that is not there: of a host's answer its attempt has taken it away.
static void add_header(void *filter, text name, text value) {
  envoy(http_add_header)(filter, RESPONSE_HEADERS, name, value);
}

static boolean is_redirect(text status) {
  return status.n == 3 && starts(status, T("30")) && memchr("12378", status.p[2], 5);
}

// Tells the client who has answered, and after how many attempts.
static void name_host(const request *r, void *filter, const head *of) {
  char digits[24];
  void (*put)(void *, text, text) = of->has_ours ? set_header : add_header;
  if (of->request_id.p) put(filter, T("x-corral-host-request-id"), of->request_id);
  put(filter, T("x-corral-host"), r->target->host->name);
  put(filter, T("x-corral-host-model"), r->target->id);
  put(filter, T("x-corral-attempts"), digits_of(r->attempts, digits));
}

static void trace(const request *r, void *filter, const head *of) {
  void (*put)(void *, text, text) = of->has_ours ? set_header : add_header;
  put(filter, T("x-corral-plan"), r->model->hash);
  put(filter, T("x-corral-commit"), r->plan->commit);
}

int answer_headers(request *r, void *filter, boolean ended) {
  if (!r->admitted) return CONTINUE;
  header all[MOST_HEADERS];
  head of_answer = head_of(all, all_headers(filter, RESPONSE_HEADERS, all));
  char digits[24];
  if (r->refused_status) { // nobody was left to ask
    of_answer.status = digits_of(r->refused_status, digits);
    set_header(filter, T(":status"), of_answer.status);
  }
  r->status = number(of_answer.status);
  boolean good = same(of_answer.status, T("200")), redirects = is_redirect(of_answer.status);
  boolean streams = starts_but_case(of_answer.kind, T("text/event-stream"));
  add_rate_headers(r, now(), add_header, filter);
  if (r->attempts) name_host(r, filter, &of_answer);
  if (r->plan->shows_trace) trace(r, filter, &of_answer);
  if (redirects) {
    // a host's failure: its URL is wrong, and a client that followed would show its key elsewhere
    set_header(filter, T(":status"), T("502"));
  }
  if (!good) return CONTINUE;
  answer *of = r->answer = allocate(sizeof *of);
  of->used = (usage){ -1, 0, -1, -1 };
  if (streams) {
    set_header(filter, T("content-length"), NO_TEXT);
    of->streams = 1;
    return CONTINUE;
  }
  return ended ? CONTINUE : STOP;
}

static void note_failure(answer *of, text failure) {
  of->failed = of->noted = 1;
  of->failure = failure;
}

// Draws what the answer has used by now.
static void draw_used(request *r, i64 at) {
  answer *of = r->answer;
  i64 amount = (of->used.input < 0 ? 0 : of->used.input) + of->used.output;
  use_tokens(r, amount - of->drawn, at);
  of->drawn = amount;
  of->noted = 1;
}

static void count_by_host(request *r, i64 at) {
  answer *of = r->answer;
  of->by_host = 1;
  if (of->used.input < 0) of->used.input = 0;
  draw_used(r, at);
}

// How this answer's host writes the model's name, and how it is written here instead.
static void learn_spelling(answer *of, text spelling, text model) {
  size name = spelling.n - 1;
  while (spelling.p[name - 1] != '"') name--;
  add(&of->spelling, spelling);
  add(&of->ours, part(spelling, 0, name));
  add(&of->ours, model);
  add(&of->ours, T("\""));
  of->renames = !same(all_of(&of->spelling), all_of(&of->ours));
}

static void add_renamed(const answer *of, buffer *to, text t) {
  size behind = 0;
  for (size at = 0; of->renames && find(t, all_of(&of->spelling), &at); behind = at) {
    add(to, part(t, behind, at));
    add(to, all_of(&of->ours));
    at += of->spelling.n;
  }
  add(to, part(t, behind, t.n));
}

static void whole_answer(request *r, void *filter) {
  answer *of = r->answer;
  whole body = whole_body(filter, RESPONSE_HELD, RESPONSE_PIECE);
  i64 at = now();
  size from, to;
  if (body.t.n) r->first_byte = at;
  of->length = (i64)body.t.n;
  if (find_usage(body.t, &of->used)) count_by_host(r, at);
  compare_whole(r, body.t);
  boolean names_model = find_spelling(body.t, &from, &to);
  if (names_model) learn_spelling(of, part(body.t, from, to), r->model->name);
  if (names_model && of->renames) {
    char digits[24];
    buffer renamed = with_space(body.t.n + of->ours.n);
    add(&renamed, part(body.t, 0, from));
    add(&renamed, all_of(&of->ours));
    add(&renamed, part(body.t, to, body.t.n));
    replace_body(filter, RESPONSE_HELD, RESPONSE_PIECE, all_of(&renamed));
    set_header(filter, T("content-length"), digits_of((i64)renamed.n, digits));
    free(renamed.p);
  }
  free(body.own);
}

// Behind the last event that has ended.
static size events_end(text joint) {
  for (size at = joint.n; at > 1; at--) {
    if (joint.p[at - 1] != '\n') continue;
    if (joint.p[at - 2] == '\n' || (at > 2 && joint.p[at - 2] == '\r' && joint.p[at - 3] == '\n')) return at;
  }
  return 0;
}

static boolean find_used(text events, const marks *what, boolean of_messages, usage *to) {
  if (of_messages) return find_messages_usage(events, to);
  return what->usage && find_usage(events, to);
}

static void read_events(request *r, text events, const marks *what, i64 at) {
  answer *of = r->answer;
  usage latest = of->used;
  boolean of_messages = is_messages(r);
  size from, to;
  if (find_used(events, what, of_messages, &latest)) {
    of->used = latest;
    count_by_host(r, at);
  } else if (!of->by_host) {
    of->used.input = of_messages ? latest.input : -1;
    of->used.output += what->pieces;
    draw_used(r, at);
  }
  if (!of->failed && tells_failure(events, what)) note_failure(of, T("error"));
  of->ended = tells_end(events, what, of_messages);
  if (what->models && !of->spelling.n && find_spelling(events, &from, &to)) {
    learn_spelling(of, part(events, from, to), r->model->name);
  }
}

// Events with our name of the model; most pieces are one of them, which has the name once.
static void add_events(const answer *of, buffer *to, text events, const marks *what) {
  text spelling = all_of(&of->spelling);
  if (!of->renames || what->models > 1) {
    add_renamed(of, to, events);
  } else if (what->models && starts(part(events, what->model, events.n), spelling)) {
    add(to, part(events, 0, what->model));
    add(to, all_of(&of->ours));
    add(to, part(events, what->model + spelling.n, events.n));
  } else {
    add(to, events);
  }
}

// What of these events passes: all but the one that tells the usage, where its client has not asked for that.
static void add_passed(const request *r, buffer *to, text events, const marks *what) {
  usage latest;
  if (!r->strips || !what->usage || !find_usage(events, &latest)) {
    add_events(r->answer, to, events, what);
    return;
  }
  for (size from = 0, behind; from < events.n; from = behind) {
    behind = event_end(events, from);
    if (!behind) behind = events.n;
    text event = part(events, from, behind);
    if (!only_usage(event)) add_renamed(r->answer, to, event);
  }
}

// Whether what has come can pass where it lies.
static boolean passes_as_it_is(const request *r, const marks *what) {
  return !(r->answer->renames && what->models) && !(r->strips && what->usage);
}

// Sends on what of a stream is known by now; the rest waits.
static void pass_on(request *r, void *filter, text joint, size behind, const marks *what) {
  answer *of = r->answer;
  text events = part(joint, 0, behind), rest = part(joint, behind, joint.n), passed = NO_TEXT;
  if (!of->tail.n && !rest.n && passes_as_it_is(r, what)) return;
  if (rest.n > LONGEST_EVENT) {
    passed = part(rest, 0, rest.n - KEPT);
    rest = part(rest, rest.n - KEPT, rest.n);
  }
  buffer to = with_space(joint.n + what->models * of->ours.n), tail = { 0, 0, 0 };
  add_passed(r, &to, events, what);
  add_renamed(of, &to, passed);
  add(&tail, rest); // before Envoy's own bytes go
  if (of->tail.n || rest.n || !same(all_of(&to), joint)) {
    replace_body(filter, RESPONSE_HELD, RESPONSE_PIECE, all_of(&to));
  }
  free(to.p);
  free(of->tail.p);
  of->tail = tail;
}

static void piece_of_stream(request *r, void *filter, boolean last) {
  answer *of = r->answer;
  whole joint = joined(all_of(&of->tail), filter, RESPONSE_PIECE);
  i64 at = now();
  if (!r->first_byte) r->first_byte = at;
  size behind = last ? joint.t.n : events_end(joint.t);
  text events = part(joint.t, 0, behind);
  marks what = marks_of(events);
  if (events.n) read_events(r, events, &what, at);
  pass_on(r, filter, joint.t, behind, &what);
  free(joint.own);
  if (!last) return;
  if (!of->failed && !of->ended) note_failure(of, T("unfinished"));
  if (r->attempts) judge(r, r->target, of->failed ? 0 : 200, of->failed);
}

int answer_body(request *r, void *filter, boolean last) {
  if (!r->admitted || !r->answer) return PASS;
  if (r->answer->streams) {
    piece_of_stream(r, filter, last);
    return PASS;
  }
  if (!last) return HOLD;
  whole_answer(r, filter);
  return PASS;
}

void release_answer(answer *of) {
  if (!of) return;
  free(of->tail.p);
  free(of->spelling.p);
  free(of->ours.p);
  free(of);
}
