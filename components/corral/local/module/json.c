// Finds the members of a request's JSON object that the gateway needs, without building the object: what the gateway does
// not change passes byte for byte.  A key that stands twice, is written with escapes, or differs from one of ours in its
// case alone is refused: a host might read another one than we do.

#include "corral.h"

enum {
  DEEPEST = 200,        // arrays and objects within each other
  MOST_MEMBERS = 1000,  // of the request's object itself
  MOST_PARTS = 1000000, // strings and brackets within its members; beyond them a worker would be busy too long
  LONGEST_NUMBER = 64,
};

const text MEMBER_NAMES[MEMBERS] = {
  [MODEL] = { "model", 5 },
  [STREAM] = { "stream", 6 },
  [STREAM_OPTIONS] = { "stream_options", 14 },
  [MESSAGES] = { "messages", 8 },
  [INPUT] = { "input", 5 },
  [TOOLS] = { "tools", 5 },
  [TOOL_CHOICE] = { "tool_choice", 11 },
  [RESPONSE_FORMAT] = { "response_format", 15 },
  [TEXT_FORMAT] = { "text", 4 },
  [CHOICES] = { "n", 1 },
  [LOGPROBS] = { "logprobs", 8 },
  [TOP_LOGPROBS] = { "top_logprobs", 12 },
  [SEED] = { "seed", 4 },
  [PRESENCE_PENALTY] = { "presence_penalty", 16 },
  [FREQUENCY_PENALTY] = { "frequency_penalty", 17 },
  [MAX_TOKENS] = { "max_tokens", 10 },
  [MAX_COMPLETION_TOKENS] = { "max_completion_tokens", 21 },
  [MAX_OUTPUT_TOKENS] = { "max_output_tokens", 17 },
  [PREVIOUS_RESPONSE_ID] = { "previous_response_id", 20 },
  [OUTPUT_CONFIG] = { "output_config", 13 },
  [SYSTEM] = { "system", 6 },
  [INSTRUCTIONS] = { "instructions", 12 },
  [TEMPERATURE] = { "temperature", 11 },
  [PROMPT_CACHE_KEY] = { "prompt_cache_key", 16 },
  [PROMPT] = { "prompt", 6 },
  [BEST_OF] = { "best_of", 7 },
};

// From a string's first quote to behind its last.
static boolean skip_string(text t, size *at) {
  size from = *at + 1, after = from;
  while (after < t.n) {
    const char *quote = memchr(t.p + after, '"', t.n - after);
    if (!quote) return 0;
    size end = (size)(quote - t.p), before = end;
    while (before > from && t.p[before - 1] == '\\') before--;
    after = end + 1;
    if ((end - before) % 2 == 0) {
      *at = after;
      return 1;
    }
  }
  return 0;
}

// From the first bracket of an array or object to behind its last.
static boolean skip_nested(text t, size *at, u32 *parts) {
  u32 depth = 0;
  while (*at < t.n) {
    char c = t.p[*at];
    if (c != '"' && c != '{' && c != '[' && c != '}' && c != ']') {
      ++*at;
      continue;
    }
    if (depth && ++*parts > MOST_PARTS) return 0;
    if (c == '"') {
      if (!skip_string(t, at)) return 0;
      continue;
    }
    ++*at;
    if (c == '{' || c == '[') {
      if (++depth > DEEPEST) return 0;
    } else if (!--depth) {
      return 1;
    }
  }
  return 0;
}

static boolean is_scalar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '+' || c == '-';
}

boolean skip_value(text t, size *at, u32 *parts) {
  if (*at >= t.n) return 0;
  char c = t.p[*at];
  if (c == '"') return skip_string(t, at);
  if (c == '{' || c == '[') return skip_nested(t, at, parts);
  size from = *at;
  while (*at < t.n && is_scalar(t.p[*at])) ++*at;
  return *at > from;
}

static boolean wrong_because(char wrong[192], const char *why) {
  snprintf(wrong, 192, "%s", why);
  return 0;
}

static boolean note_member(text name, const text *names, size count, member *members, member where, char wrong[192]) {
  for (size i = 0; i < count; i++) {
    if (name.n != names[i].n || strncasecmp(name.p, names[i].p, name.n)) continue;
    int length = (int)name.n;
    if (!same(name, names[i])) {
      snprintf(wrong, 192, "has the key %.*s: write it %s", length, name.p, names[i].p);
      return 0;
    }
    if (members[i].to) {
      snprintf(wrong, 192, "has the key %.*s twice", length, name.p);
      return 0;
    }
    members[i] = where;
    return 1;
  }
  return 1;
}

static const char NOT_VALID[] = "is not valid JSON";
static const char NOT_VALID_WITHIN[] = "is not valid JSON, or nested too deeply, or in too many parts";

boolean find_members(text t, const text *names, size count, member *members, char wrong[192]) {
  u32 parts = 0;
  size at = skip_blank(t, 0);
  if (at == t.n || t.p[at] != '{') return wrong_because(wrong, "is not a JSON object");
  at = skip_blank(t, at + 1);
  if (at < t.n && t.p[at] == '}') {
    return skip_blank(t, at + 1) == t.n || wrong_because(wrong, "goes on after the object");
  }
  for (u32 i = 0; i < MOST_MEMBERS; i++) {
    if (at == t.n) return wrong_because(wrong, "ends within the object");
    if (t.p[at] != '"') return wrong_because(wrong, NOT_VALID);
    member where = { .key = at };
    if (!skip_string(t, &at)) return wrong_because(wrong, "ends within a key");
    text name = part(t, where.key + 1, at - 1);
    if (name.n && memchr(name.p, '\\', name.n)) return wrong_because(wrong, "has a key that is written with escapes");
    at = skip_blank(t, at);
    if (at == t.n || t.p[at] != ':') return wrong_because(wrong, NOT_VALID_WITHIN);
    where.from = where.to = skip_blank(t, at + 1);
    if (!skip_value(t, &where.to, &parts)) return wrong_because(wrong, NOT_VALID_WITHIN);
    if (!note_member(name, names, count, members, where, wrong)) return 0;
    at = skip_blank(t, where.to);
    if (at < t.n && t.p[at] == '}') {
      return skip_blank(t, at + 1) == t.n || wrong_because(wrong, "goes on after the object");
    }
    if (at == t.n || t.p[at] != ',') return wrong_because(wrong, NOT_VALID);
    at = skip_blank(t, at + 1);
  }
  return wrong_because(wrong, "has more than 1000 keys");
}

text value_at(text t, const member *m) { return m->to ? part(t, m->from, m->to) : T("null"); }

boolean number_at(text t, const member *m, double *value) {
  char digits[LONGEST_NUMBER + 1], *end = digits;
  text written = value_at(t, m);
  if (!written.n || written.n > LONGEST_NUMBER || (written.p[0] != '-' && (written.p[0] < '0' || written.p[0] > '9'))) {
    return 0;
  }
  memcpy(digits, written.p, written.n);
  digits[written.n] = 0;
  *value = strtod(digits, &end);
  return end == digits + written.n;
}

// Escapes of printable characters; others stay as they are, since no name that we know has one.
boolean string_at(text t, const member *m, char *to, size space, size *n) {
  *n = 0;
  text written = value_at(t, m);
  if (written.n < 2 || written.p[0] != '"') return 0;
  written = part(written, 1, written.n - 1);
  for (size i = 0; i < written.n && *n < space; i++) {
    char c = written.p[i], next = i + 1 < written.n ? written.p[i + 1] : 0;
    if (c != '\\') {
      to[(*n)++] = c;
    } else if (next == '/' || next == '"' || next == '\\') {
      to[(*n)++] = next;
      i++;
    } else if (next == 'u' && i + 5 < written.n && written.p[i + 2] == '0' && written.p[i + 3] == '0'
               && hex_value(written.p[i + 4]) >= 2 && hex_value(written.p[i + 4]) <= 7
               && hex_value(written.p[i + 5]) >= 0) {
      to[(*n)++] = (char)(hex_value(written.p[i + 4]) * 16 + hex_value(written.p[i + 5]));
      i += 5;
    } else {
      to[(*n)++] = c;
      if (next && *n < space) {
        to[(*n)++] = next;
        i++;
      }
    }
  }
  return 1;
}
