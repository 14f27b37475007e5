// Who calls: the tenant of a key, by its hash, or of the claims of a token that Envoy has verified.

#include "corral.h"

enum { LONGEST_KEY = 512, LONGEST_CLAIM = 512 }; // bytes; longer keys are nobody's, and cost no hash

static boolean is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The key of `Bearer <key>`; `p` is 0: it is none.
static text bearer(text sent) {
  if (!starts_but_case(sent, T("bearer")) || sent.n < 7 || !is_space(sent.p[6])) return NO_TEXT;
  size from = 6, to;
  while (from < sent.n && is_space(sent.p[from])) from++;
  for (to = from; to < sent.n && !is_space(sent.p[to]);) to++;
  size rest = to;
  while (rest < sent.n && is_space(sent.p[rest])) rest++;
  return from < to && rest == sent.n ? part(sent, from, to) : NO_TEXT;
}

// Keeps what was found, so that the next request with this key costs no hash.
static void remember_key(i64 *slot, text sent, tenant *tenant) {
  i64 none = 0;
  cached_key *fresh = allocate(sizeof *fresh);
  *fresh = (cached_key){ copy_of(sent), tenant };
  if (!swap(slot, &none, (i64)fresh)) {
    free((char *)fresh->sent.p);
    free(fresh);
  }
}

static tenant *tenant_of_key(plan *of, text sent) {
  u8 hashed[32];
  if (sent.n > LONGEST_KEY) return 0;
  i64 *slot = &of->cached_key[hash(sent) % SLOTS];
  const cached_key *before = (const cached_key *)value_of(slot);
  if (before && same(before->sent, sent)) return before->tenant;
  sha256(sent, hashed);
  for (key *each = of->keys[(hashed[0] | (u32)hashed[1] << 8) % SLOTS]; each; each = each->chain) {
    if (memcmp(each->hash, hashed, sizeof hashed)) continue;
    if (!before && each->tenant) remember_key(slot, sent, each->tenant);
    return each->tenant;
  }
  return 0;
}

// The member of this name, of an object; `p` is 0: there is none.
static text member_of(text object, text name) {
  char spelled[LONGEST_CLAIM];
  u32 parts = 0;
  size at = skip_blank(object, 0), n;
  if (at >= object.n || object.p[at] != '{') return NO_TEXT;
  for (at = skip_blank(object, at + 1); at < object.n && object.p[at] == '"';) {
    member key = { at, at, at };
    if (!skip_value(object, &key.to, &parts)) return NO_TEXT;
    at = skip_blank(object, key.to);
    if (at >= object.n || object.p[at] != ':') return NO_TEXT;
    size from = skip_blank(object, at + 1), to = from;
    if (!skip_value(object, &to, &parts)) return NO_TEXT;
    if (string_at(object, &key, spelled, sizeof spelled, &n) && same((text){ spelled, n }, name))
      return part(object, from, to);
    at = skip_blank(object, to);
    if (at < object.n && object.p[at] == ',') at = skip_blank(object, at + 1);
  }
  return NO_TEXT;
}

// A claim; of one within others the names have dots between them.
static text named_claim(text claims, text name) {
  text value = member_of(claims, name);
  if (value.p) return value;
  for (size from = 0; from <= name.n;) {
    size to = from;
    while (to < name.n && name.p[to] != '.') to++;
    if (to > from) claims = member_of(claims, part(name, from, to));
    if (!claims.p) return NO_TEXT;
    from = to + 1;
  }
  return claims;
}

// A claim's value as a text, of a string without its quotes; empty: it is no single value.
static text single(text value, char to[LONGEST_CLAIM]) {
  member of = { 0, 0, value.n };
  size n = 0;
  if (!value.n || value.p[0] == '{' || value.p[0] == '[') return NO_TEXT;
  if (value.p[0] != '"') return value;
  return string_at(value, &of, to, LONGEST_CLAIM, &n) ? (text){ to, n } : NO_TEXT;
}

static tenant *tenant_of_value(const plan *of, text issuer, text value) {
  char space[LONGEST_CLAIM];
  text name = single(value, space);
  for (voucher *each = name.n ? of->vouchers[hash(name) % SLOTS] : 0; each; each = each->chain) {
    if (same(each->issuer, issuer) && same(each->value, name)) return each->tenant;
  }
  return 0;
}

static tenant *tenant_of_claims(const plan *of, text claims) {
  char space[LONGEST_CLAIM];
  text issuer = single(member_of(claims, T("iss")), space);
  const claim *named = of->claims;
  while (named && !same(named->issuer, issuer)) named = named->next;
  if (!named) return 0;
  text value = named_claim(claims, named->name);
  if (!value.n || value.p[0] != '[') return tenant_of_value(of, issuer, value);
  u32 parts = 0;
  for (size at = skip_blank(value, 1); at < value.n && value.p[at] != ']';) {
    size from = at;
    if (!skip_value(value, &at, &parts)) return 0;
    tenant *owner = tenant_of_value(of, issuer, part(value, from, at));
    if (owner) return owner;
    at = skip_blank(value, at);
    if (at < value.n && value.p[at] == ',') at = skip_blank(value, at + 1);
  }
  return 0;
}

static boolean has_form_of_token(text key) {
  size dots = 0;
  for (size i = 0; i < key.n; i++) dots += key.p[i] == '.';
  return dots == 2;
}

tenant *caller(request *r, void *filter, const credentials *of) {
  static const header BEARER = { { "www-authenticate", 16 }, { "Bearer", 6 } };
  text key = of->authorization.p ? bearer(of->authorization) : of->api_key.p ? of->api_key : of->x_api_key;
  tenant *owner = key.p ? tenant_of_key(r->plan, key) : 0;
  if (!owner && of->claims.p) owner = tenant_of_claims(r->plan, of->claims);
  if (owner) return owner;
  buffer why = { 0, 0, 0 };
  if (of->claims.p) { // Envoy has taken a good token out of the headers
    add(&why, T("The token is good, but speaks for no tenant of this gateway."));
  } else if (!key.p) {
    add(&why, T("No key: send it as Authorization: Bearer <key>."));
  } else if (of->token_failure.p && has_form_of_token(key)) {
    add(&why, T("The token is not taken: "));
    add(&why, of->token_failure);
    add(&why, T("."));
  } else {
    add(&why, T("This key is not known here: it was mistyped or withdrawn."));
  }
  refuse(filter, 401, T("invalid_api_key"), all_of(&why), T("authentication_error"), NO_TEXT, &BEARER, 1);
  free(why.p);
  return 0;
}
