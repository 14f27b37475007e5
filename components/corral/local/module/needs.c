// Which hosts a request can go to: those that its tenant's residency allows, and that take what it needs, where not all
// hosts of its model take the same.  Sets of hosts are bits.

#include "corral.h"

typedef struct {
  u64 hosts;
  text what, parameter;
} need;

enum { MOST_NEEDS = 16 };

typedef struct {
  const model *model;
  need list[MOST_NEEDS];
  u32 count;
} needs;

static const u32 TOKEN_LIMITS[3] = { MAX_TOKENS, MAX_COMPLETION_TOKENS, MAX_OUTPUT_TOKENS };

static const lack *lack_of(const model *of, text name) {
  for (const lack *each = of->lacks; each; each = each->next) {
    if (same(each->need, name)) return each;
  }
  return 0;
}

static void add_need(needs *to, text name, text parameter) {
  const lack *lacked = lack_of(to->model, name);
  if (lacked && to->count < MOST_NEEDS) to->list[to->count++] = (need){ lacked->hosts, lacked->what, parameter };
}

static boolean above(text body, const member *m, double least) {
  double value;
  return number_at(body, m, &value) && value > least;
}

static boolean is_null(text value) { return same(value, T("null")); }

static boolean is_another_number(text body, const member *m) {
  double value;
  return number_at(body, m, &value) && value != 0;
}

// Whether `: "` stands at this place, with whatever blanks, and then this beginning.
static boolean leads_to(text t, size at, text beginning) {
  at = value_behind(t, at);
  return at < t.n && t.p[at] == '"' && starts_but_case(part(t, at + 1, t.n), beginning);
}

// Whether there is an image behind an address of HTTP.  Quotes within a string are escaped.
static boolean has_address(text value, text key) {
  for (size at = 0; find(value, key, &at);) {
    at += key.n;
    if (leads_to(value, at, T("http"))) return 1;
  }
  return 0;
}

// Whether a "type" in the value begins with this.
static boolean has_type(text value, text beginning, size *behind) {
  const text type = T("\"type\"");
  for (size at = 0; find(value, type, &at);) {
    at += type.n;
    if (!leads_to(value, at, beginning)) continue;
    at = skip_blank(value, at); // the colon
    *behind = skip_blank(value, at + 1) + 1 + beginning.n;
    return 1;
  }
  return 0;
}

static boolean is_of_type(text value, text name) {
  size behind = 0;
  return has_type(value, name, &behind) && behind < value.n && value.p[behind] == '"';
}

// `object` or `schema` of "type": "json_object", "json_schema".
static text format_of(text value) {
  size from = 0;
  if (!has_type(value, T("json_"), &from)) return NO_TEXT;
  size to = from;
  while (to < value.n && value.p[to] >= 'a' && value.p[to] <= 'z') to++;
  return to < value.n && value.p[to] == '"' ? part(value, from, to) : NO_TEXT;
}

static boolean forces_tools(text choice, boolean of_messages) {
  if (of_messages) return is_of_type(choice, T("any")) || is_of_type(choice, T("tool"));
  return !is_null(choice) && !same(choice, T("\"auto\"")) && !same(choice, T("\"none\""));
}

static void add_needs_of_tools(needs *to, const request *r, text body, const member *members) {
  text tools = value_at(body, &members[TOOLS]), choice = value_at(body, &members[TOOL_CHOICE]);
  size first = skip_blank(tools, 1);
  if (tools.p[0] != '[' || first >= tools.n || tools.p[first] == ']') return;
  add_need(to, T("tools"), T("tools"));
  if (r->stream) add_need(to, T("toolsWhileStreaming"), T("tools"));
  if (forces_tools(choice, is_messages(r))) add_need(to, T("toolChoice"), T("tool_choice"));
}

static void add_needs_of_images(needs *to, text value, text parameter, boolean of_messages) {
  boolean has_image = has(value, T("\"image_url\"")) || has(value, T("\"input_image\""));
  if (!has_image && !(of_messages && is_of_type(value, T("image")))) return;
  add_need(to, T("vision"), parameter);
  if (has_address(value, T("\"url\"")) || has_address(value, T("\"image_url\""))) {
    add_need(to, T("imageUrls"), parameter);
  }
}

static void add_all_needs(needs *to, const request *r, text body, const member *members) {
  text path = { r->path, r->path_size }, logprobs = value_at(body, &members[LOGPROBS]);
  boolean responses = same(path, T("/v1/responses"));
  double number;
  if (same(path, T("/v1/completions"))) add_need(to, T("completions"), NO_TEXT);
  if (responses) add_need(to, T("responses"), NO_TEXT);
  if (same(path, T("/v1/embeddings"))) add_need(to, T("embeddings"), NO_TEXT);
  if (is_messages(r)) add_need(to, T("messages"), NO_TEXT);
  if (same(path, T("/v1/rerank"))) add_need(to, T("rerank"), NO_TEXT);
  if (r->stream) add_need(to, T("streaming"), T("stream"));
  add_needs_of_tools(to, r, body, members);
  u32 format = responses ? TEXT_FORMAT : is_messages(r) ? OUTPUT_CONFIG : RESPONSE_FORMAT;
  text kind = format_of(value_at(body, &members[format]));
  if (same(kind, T("object"))) add_need(to, T("jsonMode"), MEMBER_NAMES[format]);
  if (same(kind, T("schema"))) add_need(to, T("jsonSchema"), MEMBER_NAMES[format]);
  if (above(body, &members[CHOICES], 1)) add_need(to, T("choices"), T("n"));
  if (same(logprobs, T("true")) || number_at(body, &members[LOGPROBS], &number) || above(body, &members[TOP_LOGPROBS], 0)) {
    add_need(to, T("logprobs"), T("logprobs"));
  }
  if (!is_null(value_at(body, &members[SEED]))) add_need(to, T("seed"), T("seed"));
  if (is_another_number(body, &members[PRESENCE_PENALTY])) add_need(to, T("penalties"), T("presence_penalty"));
  if (is_another_number(body, &members[FREQUENCY_PENALTY])) add_need(to, T("penalties"), T("frequency_penalty"));
  if (lack_of(to->model, T("vision")) || lack_of(to->model, T("imageUrls"))) {
    u32 messages = responses ? INPUT : MESSAGES;
    add_needs_of_images(to, value_at(body, &members[messages]), MEMBER_NAMES[messages], is_messages(r));
  }
}

static void refuse_needs(const request *r, void *filter, const need *list, u32 count) {
  buffer message = { 0, 0, 0 };
  add(&message, T("No host of "));
  add(&message, r->model->name);
  add(&message, count > 1 ? T(" takes all of this together: ") : T(" takes this: "));
  for (u32 i = 0; i < count; i++) {
    if (i) add(&message, T(", "));
    add(&message, list[i].what);
  }
  add(&message, T("."));
  refuse(filter, 400, T("unsupported_parameter"), all_of(&message), NO_TEXT, list[0].parameter, 0, 0);
  free(message.p);
}

double longest_answer(text body, const member *members) {
  double tokens = 0, value;
  for (u32 i = 0; i < COUNT(TOKEN_LIMITS); i++) {
    if (number_at(body, &members[TOKEN_LIMITS[i]], &value) && value > tokens) tokens = value;
  }
  return tokens;
}

// Has no limit of an answer above this one, in a text that is no longer and no shorter than it was.
static void cut(request *r, text body, const member *members, i64 limit) {
  char least[24];
  size length = (size)snprintf(least, sizeof least, "%ld", limit);
  for (u32 i = 0; i < COUNT(TOKEN_LIMITS); i++) {
    const member *m = &members[TOKEN_LIMITS[i]];
    if (!above(body, m, (double)limit) || length > m->to - m->from || r->edit_count == EDITS) continue;
    buffer by = { 0, 0, 0 };
    add(&by, (text){ least, length });
    while (by.n < m->to - m->from) add(&by, T(" "));
    r->edits[r->edit_count++] = (edit){ m->from, m->to, all_of(&by) };
  }
}

static boolean refuse_residency(const request *r, void *filter) {
  if (r->allowed) return 0;
  buffer message = { 0, 0, 0 };
  add(&message, T("No host of "));
  add(&message, r->model->name);
  add(&message, T(" lies where requests of this tenant may be processed."));
  refuse(filter, 403, T("residency"), all_of(&message), T("permission_error"), NO_TEXT, 0, 0);
  free(message.p);
  return 1;
}

static u64 all_hosts(const model *of) { return of->count == MOST_TARGETS ? ~(u64)0 : ((u64)1 << of->count) - 1; }

static u64 hosts_within(const model *of, text name) {
  for (const residency *each = of->residencies; name.n && each; each = each->next) {
    if (same(each->name, name)) return each->hosts;
  }
  return ~(u64)0;
}

boolean leave_out(request *r, void *filter, text body, const member *members) {
  r->allowed = hosts_within(r->model, r->tenant->residency) & all_hosts(r->model);
  if (refuse_residency(r, filter)) return 0;
  u64 every = r->allowed, out = 0;
  needs of = { .model = r->model };
  if (!r->model->lacks && !r->model->outputs) return 1;
  add_all_needs(&of, r, body, members);
  for (u32 i = 0; i < of.count; i++) out |= of.list[i].hosts & every;
  if (out == every) {
    for (u32 i = 0; i < of.count; i++) {
      if ((of.list[i].hosts & every) == every) {
        refuse_needs(r, filter, &of.list[i], 1);
        return 0;
      }
    }
    refuse_needs(r, filter, of.list, of.count);
    return 0;
  }
  double tokens = longest_answer(body, members);
  for (const output *each = r->model->outputs; each && tokens > (double)each->limit; each = each->next) {
    u64 more = out | (each->hosts & every);
    if (more == every) {
      cut(r, body, members, each->limit);
      break;
    }
    out = more;
  }
  r->allowed &= ~out;
  return 1;
}
