// What an answer says: the tokens it used, whether its host has failed, whether it is whole, and how the model is called.
// Everything is found by its key.  The quotes around it make sure that it is one: within a string they would be escaped.

#include "corral.h"

enum { LONGEST_USAGE = 4097, MOST_TOKENS = 100000000, BEFORE_ERROR = 24 }; // a host that says more tokens is wrong

u32 initials_of(text t) {
  u32 initials = 0;
  const char *at = t.p, *end = t.p + t.n;
  while (at < end && (at = memchr(at, '"', (size)(end - at))) && ++at < end) {
    u32 place = (u8)*at - (u32)'a';
    if (place < 26) initials |= 1u << place;
  }
  return initials;
}

boolean may_have(u32 initials, char initial) { return initials >> (initial - 'a') & 1; }

static i64 tokens_of(text t, text quoted) {
  for (size at = 0; find(t, quoted, &at);) {
    at += quoted.n;
    i64 n = number(part(t, value_behind(t, at), t.n));
    if (n >= 0) return n < MOST_TOKENS ? n : MOST_TOKENS;
  }
  return -1;
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
  i64 input = either(tokens_of(value, T("\"prompt_tokens\"")), tokens_of(value, T("\"input_tokens\"")));
  i64 output = either(tokens_of(value, T("\"completion_tokens\"")), tokens_of(value, T("\"output_tokens\"")));
  if (input < 0 && output < 0) input = tokens_of(value, T("\"total_tokens\"")); // of ranked documents
  if (input < 0 && output < 0) return 0;
  // Anthropic's does not count what was cached among the others
  i64 cached = tokens_of(value, T("\"cache_read_input_tokens\"")),
      kept = tokens_of(value, T("\"cache_creation_input_tokens\""));
  if (input >= 0) input += (cached < 0 ? 0 : cached) + (kept < 0 ? 0 : kept);
  to->input = input < MOST_TOKENS ? input : MOST_TOKENS;
  to->output = output < 0 ? 0 : output;
  to->cached = either(tokens_of(value, T("\"cached_tokens\"")), cached);
  to->reasoning = tokens_of(value, T("\"reasoning_tokens\""));
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

// What says something: the first event of a stream only names the speaker, and the last why it ends.
i64 count_pieces(text events, u32 initials) {
  static const text SAYING[] = { { "content\"", 8 },      { "\"text\"", 6 },          { "\"delta\"", 7 },
                                 { "\"arguments\"", 11 }, { "\"partial_json\"", 14 }, { "\"thinking\"", 10 } };
  i64 pieces = 0;
  for (u32 i = 0; i < COUNT(SAYING); i++) {
    if (SAYING[i].p[0] == '"' && !may_have(initials, SAYING[i].p[1])) continue;
    for (size at = 0; find(events, SAYING[i], &at);) {
      at += SAYING[i].n;
      size value = value_behind(events, at);
      pieces += value + 1 < events.n && events.p[value] == '"' && events.p[value + 1] != '"';
    }
  }
  return pieces;
}

// Whether `"key":` stands before this place, with whatever blanks.
static boolean is_value_of(text t, size at, text quoted) {
  while (at && is_blank(t.p[at - 1])) at--;
  if (!at || t.p[--at] != ':') return 0;
  while (at && is_blank(t.p[at - 1])) at--;
  return at >= quoted.n && same(part(t, at - quoted.n, at), quoted);
}

// Whether the host says that it has failed: with an `error` that is not null, or as why it ends.
boolean tells_failure(text events, u32 initials) {
  static const text OF_ERRORS[] = { { "\"finish_reason\"", 15 }, { "\"object\"", 8 }, { "\"type\"", 6 } };
  const text error = T("\"error\"");
  for (size at = may_have(initials, 'e') ? 0 : events.n; find(events, error, &at); at += error.n) {
    size value = value_behind(events, at + error.n);
    if (value < events.n && (events.p[value] == '{' || events.p[value] == '"')) return 1;
    size from = at > BEFORE_ERROR ? at - BEFORE_ERROR : 0;
    for (u32 i = 0; i < COUNT(OF_ERRORS); i++) {
      if (is_value_of(part(events, from, at), at - from, OF_ERRORS[i])) return 1;
    }
  }
  return may_have(initials, 'r') && has(events, T("\"response.failed\""));
}

static boolean has_finish_reason(text events) {
  const text key = T("\"finish_reason\"");
  for (size at = 0; find(events, key, &at);) {
    at += key.n;
    size value = value_behind(events, at);
    if (value < events.n && events.p[value] == '"') return 1;
  }
  return 0;
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
boolean tells_end(text events, u32 initials, boolean of_messages) {
  if (of_messages) return has_message_stop(events);
  if (ends_with_done(events) || (may_have(initials, 'f') && has_finish_reason(events))) return 1;
  if (may_have(initials, 'u') && only_usage(last_event(events))) return 1;
  return may_have(initials, 'r') && (has(events, T("\"response.completed\"")) || has(events, T("\"response.incomplete\"")));
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
