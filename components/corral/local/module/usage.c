// What an answer says: the tokens it used, whether its host has failed, whether it is whole, and how the model is called.
// Everything is found by its key.  The quotes around it make sure that it is one: within a string they would be escaped.

#include "corral.h"

enum { LONGEST_USAGE = 4097, MOST_TOKENS = 100000000, BEFORE_ERROR = 24 }; // a host that says more tokens is wrong

// Names of members, with the quote behind them, in order; by their initials where they begin.
enum {
  ARGUMENTS,
  DELTA,
  PARTIAL_JSON,
  PLAIN_TEXT,
  THINKING,
  LAST_OF_PIECES = THINKING,
  ERROR,
  FINISH_REASON,
  MODEL_NAME,
  COMPLETED,
  FAILED,
  INCOMPLETE,
  USAGE,
  NAMES
};
static const text NAME_OF[NAMES] = {
  [ARGUMENTS] = { "arguments\"", 10 },
  [DELTA] = { "delta\"", 6 },
  [PARTIAL_JSON] = { "partial_json\"", 13 },
  [PLAIN_TEXT] = { "text\"", 5 },
  [THINKING] = { "thinking\"", 9 },
  [ERROR] = { "error\"", 6 },
  [FINISH_REASON] = { "finish_reason\"", 14 },
  [MODEL_NAME] = { "model\"", 6 },
  [COMPLETED] = { "response.completed\"", 19 },
  [FAILED] = { "response.failed\"", 16 },
  [INCOMPLETE] = { "response.incomplete\"", 20 },
  [USAGE] = { "usage\"", 6 },
};
// By an initial the first of its names, and one more; 0: none has it.
static const u8 BEGUN_BY[256] = {
  ['a'] = ARGUMENTS + 1,     ['d'] = DELTA + 1,      ['e'] = ERROR + 1,
  ['f'] = FINISH_REASON + 1, ['m'] = MODEL_NAME + 1, ['p'] = PARTIAL_JSON + 1,
  ['r'] = COMPLETED + 1,     ['t'] = PLAIN_TEXT + 1, ['u'] = USAGE + 1,
};

// Whether the value of the key that ends here is a text that is not empty.
static boolean says_something(text events, size behind) {
  size value = value_behind(events, behind);
  return value + 1 < events.n && events.p[value] == '"' && events.p[value + 1] != '"';
}

static void note_name(marks *to, text events, u32 name, size quote) {
  size behind = quote + 1 + NAME_OF[name].n;
  if (name <= LAST_OF_PIECES) {
    to->pieces += says_something(events, behind);
  } else if (name == FINISH_REASON) {
    size value = value_behind(events, behind);
    if (value < events.n && events.p[value] == '"') to->finishes = 1;
  } else if (name == MODEL_NAME) {
    if (!to->models++) to->model = quote;
  } else if (name == USAGE) {
    to->usage = 1;
  } else if (name == ERROR) {
    to->error = 1;
  } else if (name == FAILED) {
    to->failed = 1;
  } else {
    to->completed = 1;
  }
}

// Of names with an initial, the one that begins here.
static void note_names(marks *to, text events, size quote, u32 name) {
  text rest = { events.p + quote + 1, events.n - quote - 1 };
  for (; name < NAMES && NAME_OF[name].p[0] == *rest.p; name++) {
    if (NAME_OF[name].p[1] == rest.p[1] && starts(rest, NAME_OF[name])) note_name(to, events, name, quote);
  }
}

// What says something: the first event of a stream only names the speaker, and the last why it ends.
marks marks_of(text events) {
  const text content = T("content");
  marks of = { .pieces = 0 };
  if (events.n < 3) return of;
  const char *at = events.p, *last = events.p + events.n - 2; // what stands nearer to the end begins no name
  while (at < last && (at = memchr(at, '"', (size)(last - at)))) {
    u32 begun = BEGUN_BY[(u8)at[1]];
    if (begun) note_names(&of, events, (size)(at - events.p), begun - 1);
    at++;
    if (at - events.p > (i64)content.n && at[-2] == 't' && same((text){ at - 1 - content.n, content.n }, content)) {
      of.pieces += says_something(events, (size)(at - events.p));
    }
  }
  return of;
}

// The numbers that an account has, each where it stands first as one; -1: nowhere.
enum { CACHED_READ, CACHED_NEW, CACHED, COMPLETION, INPUT_COUNT, OUTPUT_COUNT, PROMPT_COUNT, REASONING, TOTAL, COUNTS };
static const text COUNT_NAMES[COUNTS] = {
  [CACHED_READ] = { "cache_read_input_tokens\"", 24 },
  [CACHED_NEW] = { "cache_creation_input_tokens\"", 28 },
  [CACHED] = { "cached_tokens\"", 14 },
  [COMPLETION] = { "completion_tokens\"", 18 },
  [INPUT_COUNT] = { "input_tokens\"", 13 },
  [OUTPUT_COUNT] = { "output_tokens\"", 14 },
  [PROMPT_COUNT] = { "prompt_tokens\"", 14 },
  [REASONING] = { "reasoning_tokens\"", 17 },
  [TOTAL] = { "total_tokens\"", 13 },
};

static void read_counts(text account, i64 counts[COUNTS]) {
  const char *at = account.p, *end = account.p + account.n;
  for (u32 i = 0; i < COUNTS; i++) counts[i] = -1;
  for (; at < end && (at = memchr(at, '"', (size)(end - at))); at++) {
    text rest = { at + 1, (size)(end - at) - 1 };
    for (u32 i = 0; rest.n && i < COUNTS; i++) {
      if (counts[i] >= 0 || COUNT_NAMES[i].p[0] != *rest.p || !starts(rest, COUNT_NAMES[i])) continue;
      i64 n = number(part(rest, value_behind(rest, COUNT_NAMES[i].n), rest.n));
      counts[i] = n < MOST_TOKENS ? n : MOST_TOKENS;
    }
  }
}

static i64 either(i64 first, i64 second) { return first >= 0 ? first : second; }

// From the last `usage` in the text; false: there is none, or no such number in it.
boolean find_usage(text t, usage *to) {
  const text key = T("\"usage\"");
  size from = t.n;
  for (size at = 0; find(t, key, &at);) {
    at += key.n;
    size value = value_behind(t, at);
    if (value < t.n && t.p[value] == '{') from = value;
  }
  text value = part(t, from, from + LONGEST_USAGE);
  if (!value.n) return 0;
  i64 counts[COUNTS];
  read_counts(value, counts);
  i64 input = either(counts[PROMPT_COUNT], counts[INPUT_COUNT]);
  i64 output = either(counts[COMPLETION], counts[OUTPUT_COUNT]);
  if (input < 0 && output < 0) input = counts[TOTAL]; // of ranked documents
  if (input < 0 && output < 0) return 0;
  // Anthropic's does not count what was cached among the others
  i64 cached = counts[CACHED_READ], kept = counts[CACHED_NEW];
  if (input >= 0) input += (cached < 0 ? 0 : cached) + (kept < 0 ? 0 : kept);
  to->input = input < MOST_TOKENS ? input : MOST_TOKENS;
  to->output = output < 0 ? 0 : output;
  to->cached = either(counts[CACHED], cached);
  to->reasoning = counts[REASONING];
  return 1;
}

// Anthropic's messages tell the prompt's tokens with their first event, and the answer's with the last but one, often
// alone: those of the prompt stay as they were until they come.  False: those of the answer are not there yet.
boolean find_messages_usage(text events, usage *to) {
  usage latest;
  size start = 0, delta = 0;
  if (find(events, T("message_start"), &start)) {
    size end = event_end(events, start);
    if (find_usage(part(events, start, end ? end : events.n), &latest) && latest.input >= 0) to->input = latest.input;
  }
  if (!find(events, T("message_delta"), &delta) || !find_usage(part(events, delta, events.n), &latest)) return 0;
  if (latest.input < 0) latest.input = to->input;
  *to = latest;
  return 1;
}

static boolean has_choices(text event) {
  const text key = T("\"choices\"");
  for (size at = 0; find(event, key, &at);) {
    at += key.n;
    size value = value_behind(event, at);
    if (value >= event.n || event.p[value] != '[') continue;
    value = skip_blank(event, value + 1);
    if (value < event.n && event.p[value] != ']') return 1;
  }
  return 0;
}

boolean only_usage(text event) {
  usage latest;
  return find_usage(event, &latest) && latest.input >= 0 && !has_choices(event);
}

size event_end(text t, size from) {
  while (from < t.n) {
    const char *line = memchr(t.p + from, '\n', t.n - from);
    if (!line) return 0;
    size at = (size)(line - t.p) + 1;
    if (at < t.n && t.p[at] == '\n') return at + 1;
    if (at + 1 < t.n && t.p[at] == '\r' && t.p[at + 1] == '\n') return at + 2;
    from = at;
  }
  return 0;
}

// Whether `"key":` stands before this place, with whatever blanks.
static boolean is_value_of(text t, size at, text quoted) {
  while (at && is_blank(t.p[at - 1])) at--;
  if (!at || t.p[--at] != ':') return 0;
  while (at && is_blank(t.p[at - 1])) at--;
  return at >= quoted.n && same(part(t, at - quoted.n, at), quoted);
}

// Whether the host says that it has failed: with an `error` that is not null, or as why it ends.
boolean tells_failure(text events, const marks *of) {
  static const text OF_ERRORS[] = { { "\"finish_reason\"", 15 }, { "\"object\"", 8 }, { "\"type\"", 6 } };
  const text error = T("\"error\"");
  for (size at = of->error ? 0 : events.n; find(events, error, &at); at += error.n) {
    size value = value_behind(events, at + error.n);
    if (value < events.n && (events.p[value] == '{' || events.p[value] == '"')) return 1;
    size from = at > BEFORE_ERROR ? at - BEFORE_ERROR : 0;
    for (u32 i = 0; i < COUNT(OF_ERRORS); i++) {
      if (is_value_of(part(events, from, at), at - from, OF_ERRORS[i])) return 1;
    }
  }
  return of->failed;
}

static boolean ends_with_done(text events) {
  const text done = T("[DONE]"), data = T("data:");
  size to = events.n;
  while (to && is_blank(events.p[to - 1])) to--;
  if (to < done.n || !same(part(events, to - done.n, to), done)) return 0;
  to -= done.n;
  while (to && is_blank(events.p[to - 1])) to--;
  return to >= data.n && same(part(events, to - data.n, to), data);
}

// The last event that is more than an empty line.
static text last_event(text events) {
  size from = 0;
  for (size at = 0, behind; (behind = event_end(events, at)); at = behind) {
    if (behind < events.n && events.p[behind] != '\n' && events.p[behind] != '\r') from = behind;
  }
  return part(events, from, events.n);
}

static boolean has_message_stop(text events) {
  const text type = T("\"type\"");
  for (size at = 0; find(events, type, &at);) {
    at += type.n;
    if (starts(part(events, value_behind(events, at), events.n), T("\"message_stop\""))) return 1;
  }
  return 0;
}

// Whether a stream is whole that ends with these events.
boolean tells_end(text events, const marks *of, boolean of_messages) {
  if (of_messages) return has_message_stop(events);
  return of->finishes || of->completed || ends_with_done(events) || (of->usage && only_usage(last_event(events)));
}

boolean find_spelling(text t, size *from, size *to) {
  const text key = T("\"model\"");
  for (*from = 0; find(t, key, from); *from += key.n) {
    size value = value_behind(t, *from + key.n);
    if (value >= t.n || t.p[value] != '"') continue;
    const char *quote = memchr(t.p + value + 1, '"', t.n - value - 1);
    if (!quote) return 0;
    *to = (size)(quote - t.p) + 1;
    return 1;
  }
  return 0;
}
