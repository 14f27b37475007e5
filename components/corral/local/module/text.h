// Bytes, and what is read in them: numbers, the members of a JSON object, and the digest of a key.

#ifndef CORRAL_TEXT_H
#define CORRAL_TEXT_H

#include "envoy.h"

// ---- text

boolean same(text a, text b);
boolean same_but_case(text a, text b);
boolean starts(text of, text with);
boolean starts_but_case(text of, text with);
boolean find(text in, text what, size *at); // from *at on; *at is where it stands then
boolean is_blank(char c);
size skip_blank(text t, size at);
boolean has(text in, text what);
// Where the value of a key begins that ends at this place; `n` of the text: there is none.
size value_behind(text t, size at);
text part(text t, size from, size to); // within bounds, whatever they are
i64 number(text t);                    // of the digits at its beginning, 10^15 at most; -1: there is none
u64 hexadecimal(text t);               // of 16 digits at most; 0: it is no such number
int hex_value(char c);                 // of a hexadecimal digit; -1: it is none
u32 hash(text t);
void *allocate(size n); // zeroed; never 0

// Bytes that are added up; whoever has one frees `p`.
typedef struct {
  char *p;
  size n, space;
} buffer;

buffer with_space(size n); // an empty one that does not move until it holds more
void add(buffer *to, text t);
text digits_of(i64 n, char to[24]);
void add_number(buffer *to, i64 n);
void add_quoted(buffer *to, text t); // as a JSON string of printable ASCII; a ? for each other byte
text all_of(const buffer *b);
text copy_of(text t); // owned by the caller

i64 now(void); // microseconds since 1970
i64 add_to(i64 *at, i64 n); // what it was before
i64 value_of(i64 *at);
void set_to(i64 *at, i64 n);
boolean swap(i64 *at, i64 *expected, i64 to);
void lock(i64 *of); // 0 at first
void unlock(i64 *of);

// ---- sha256

void sha256(text t, u8 out[32]);

// ---- json

// Where a member stands: its key, and its value from its first byte to behind its last.  `to` is 0: there is none.
typedef struct {
  size key, from, to;
} member;

enum {
  MODEL,
  STREAM,
  STREAM_OPTIONS,
  MESSAGES,
  INPUT,
  TOOLS,
  TOOL_CHOICE,
  RESPONSE_FORMAT,
  TEXT_FORMAT,
  CHOICES,
  LOGPROBS,
  TOP_LOGPROBS,
  SEED,
  PRESENCE_PENALTY,
  FREQUENCY_PENALTY,
  MAX_TOKENS,
  MAX_COMPLETION_TOKENS,
  MAX_OUTPUT_TOKENS,
  PREVIOUS_RESPONSE_ID,
  OUTPUT_CONFIG,
  SYSTEM,
  INSTRUCTIONS,
  PROMPT_CACHE_KEY,
  PROMPT,
  BEST_OF,
  TEMPERATURE,
  MEMBERS
};
extern const text MEMBER_NAMES[MEMBERS];

// Fills `members` with the members of those names.  False, and why in `wrong`: the text is not an object that can be read
// in one way alone.
boolean find_members(text t, const text *names, size count, member *members, char wrong[192]);
boolean skip_value(text t, size *at, u32 *parts); // a value that begins at *at; *at is behind it then
text value_at(text t, const member *m);           // `null` where there is none
boolean number_at(text t, const member *m, double *value);
boolean string_at(text t, const member *m, char *to, size space, size *n); // with the escapes that names have

#endif
