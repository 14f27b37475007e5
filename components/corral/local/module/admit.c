// The request: who calls, which model is asked for, whether the tenant may use it, and whether it has anything left.

#include "corral.h"

enum { LONGEST_NAME = 128, STATUS_DIGITS = 8 };

static const text ENDPOINTS[] = {
  { "/v1/chat/completions", 20 }, { "/v1/completions", 15 }, { "/v1/embeddings", 14 },
  { "/v1/responses", 13 },        { "/v1/messages", 12 },    { "/v1/rerank", 10 },
};
enum { STREAM_USAGE = 2 }; // the first two of them have `stream_options`

static const header JSON = { { "content-type", 12 }, { "application/json", 16 } };

boolean is_messages(const request *r) { return same((text){ r->path, r->path_size }, T("/v1/messages")); }

static boolean is_chat(const request *r) { return same((text){ r->path, r->path_size }, T("/v1/chat/completions")); }

boolean is_of_prompts(const request *r) {
  return is_chat(r) || is_messages(r) || same((text){ r->path, r->path_size }, T("/v1/responses"));
}

static boolean asks_for_messages(void *filter) {
  text path = header_of(filter, REQUEST_HEADERS, T(":path")), messages = T("/v1/messages");
  if (!starts(path, messages)) return 0;
  return path.n == messages.n || path.p[messages.n] == '?';
}

// An error in the shape of OpenAI's, to a request for Anthropic's messages in that of Anthropic's as well; its kind is `invalid_request_error` where none is said.
void refuse(void *filter, u32 status, text code, text message, text kind, text parameter, const header *more, size count) {
  header headers[8] = { JSON };
  buffer body = { 0, 0, 0 };
  add(&body, asks_for_messages(filter) ? T("{\"type\":\"error\",\"error\":{\"message\":") : T("{\"error\":{\"message\":"));
  add_quoted(&body, message);
  add(&body, T(",\"type\":\""));
  add(&body, kind.p ? kind : T("invalid_request_error"));
  add(&body, T("\",\"code\":\""));
  add(&body, code);
  add(&body, T("\",\"param\":"));
  if (parameter.p) {
    add_quoted(&body, parameter);
  } else {
    add(&body, T("null"));
  }
  add(&body, T("}}"));
  if (count > COUNT(headers) - 1) count = COUNT(headers) - 1;
  for (size i = 0; i < count; i++) headers[i + 1] = more[i];
  envoy(http_send_response)(filter, status, headers, count + 1, all_of(&body), T("corral"));
  free(body.p);
}

// What of a request's headers is read.  Of one that comes twice the value is one that nobody takes.
typedef struct {
  credentials credentials;
  text method, path, content_type, content_encoding, content_length, mirror;
} sent;

// Where the header of this name goes; 0: it is not read.
static text *place_of(sent *to, text name) {
  switch (name.n) {
  case 5: return same(name, T(":path")) ? &to->path : 0;
  case 7: return same(name, T(":method")) ? &to->method : same(name, T("api-key")) ? &to->credentials.api_key : 0;
  case 9: return same(name, T("x-api-key")) ? &to->credentials.x_api_key : 0;
  case 12: return same(name, T("content-type")) ? &to->content_type : 0;
  case 13: return same(name, T("authorization")) ? &to->credentials.authorization : 0;
  case 14: return same(name, T("content-length")) ? &to->content_length : 0;
  case 15:
    if (same(name, T("x-corral-claims"))) return &to->credentials.claims;
    return same(name, T("x-corral-mirror")) ? &to->mirror : 0;
  case 16: return same(name, T("content-encoding")) ? &to->content_encoding : 0;
  case 22: return same(name, T("x-corral-token-failure")) ? &to->credentials.token_failure : 0;
  default: return 0;
  }
}

static void read_headers(void *filter, sent *of) {
  header all[MOST_HEADERS];
  size n = all_headers(filter, REQUEST_HEADERS, all);
  for (size i = 0; i < n; i++) {
    text *to = place_of(of, all[i].key);
    if (to) *to = to->p ? T(",") : all[i].value.p ? all[i].value : T("");
  }
}

static void set_request_header(void *filter, text name, text value) {
  envoy(http_set_header)(filter, REQUEST_HEADERS, name, value);
}

// The table of routes answers, and has to be told who calls where its answer is not the same for all.
static void let_routes_answer(const request *r, void *filter) {
  envoy(http_set_filter_state_bytes)(filter, T("corral.read"), T("1"));
  if (r->tenant && r->tenant->name.n) set_request_header(filter, T("x-corral-tenant"), r->tenant->name);
}

static boolean is_of_names(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':'
      || c == '/' || c == '-';
}

// The beginning of a name, with a ? for each character that no name has.
static text harmless(text name, char to[LONGEST_NAME]) {
  size n = name.n < LONGEST_NAME ? name.n : LONGEST_NAME;
  for (size i = 0; i < n; i++) to[i] = is_of_names(name.p[i]) ? name.p[i] : '?';
  return (text){ to, n };
}

static text without_percents(text escaped, buffer *to) {
  for (size i = 0; i < escaped.n; i++) {
    char c = escaped.p[i];
    if (c == '%' && i + 2 < escaped.n && hex_value(escaped.p[i + 1]) >= 0 && hex_value(escaped.p[i + 2]) >= 0) {
      c = (char)(hex_value(escaped.p[i + 1]) * 16 + hex_value(escaped.p[i + 2]));
      i += 2;
    }
    add(to, (text){ &c, 1 });
  }
  return all_of(to);
}

static boolean may_use(const request *r, text model) {
  if (r->tenant->every_model) return 1;
  const grant *own = find_grant(r->plan, r->tenant, model);
  return own && own->allowed;
}

static void answer_one_model(const request *r, void *filter, text name) {
  buffer message = { 0, 0, 0 };
  if (!find_model(r->plan, name) || !may_use(r, name)) {
    char shown[LONGEST_NAME];
    add(&message, T("The model "));
    add(&message, harmless(name, shown));
    add(&message, T(" does not exist here. GET /v1/models lists the models."));
    refuse(filter, 404, T("model_not_found"), all_of(&message), NO_TEXT, NO_TEXT, 0, 0);
  } else {
    header headers[1] = { JSON };
    add(&message, T("{\"id\":"));
    add_quoted(&message, name);
    add(&message, T(",\"object\":\"model\",\"created\":0,\"owned_by\":\"corral\"}"));
    envoy(http_send_response)(filter, 200, headers, 1, all_of(&message), T("corral"));
  }
  free(message.p);
}

// One model of the list, by its path; a slash in its name may be escaped.
static void one_model(const request *r, void *filter, text method, text escaped) {
  static const header ALLOW = { { "allow", 5 }, { "GET, HEAD", 9 } };
  buffer name = { 0, 0, 0 };
  if (!same(method, T("GET")) && !same(method, T("HEAD"))) {
    refuse(filter, 405, T("method_not_allowed"), T("Use GET, HEAD here."), NO_TEXT, NO_TEXT, &ALLOW, 1);
    return;
  }
  answer_one_model(r, filter, without_percents(escaped, &name));
  free(name.p);
}

static void refuse_size(const request *r, void *filter) {
  char message[384];
  int n = snprintf(message, sizeof message, "The request body is larger than %ld bytes, the most tenant %.*s may send.",
                   r->tenant->body, (int)r->tenant->name.n, r->tenant->name.p);
  refuse(filter, 413, T("request_too_large"), part((text){ message, sizeof message - 1 }, 0, (size)n), NO_TEXT, NO_TEXT, 0,
         0);
}

static boolean refuse_headers(const request *r, void *filter, const sent *of) {
  if (!starts_but_case(of->content_type, T("application/json"))) {
    refuse(filter, 400, T("json_required"), T("The request must be JSON: send Content-Type: application/json."), NO_TEXT,
           NO_TEXT, 0, 0);
  } else if (of->content_encoding.p && !same_but_case(of->content_encoding, T("identity"))) {
    refuse(filter, 415, T("encoding_not_taken"),
           T("The request body is compressed (Content-Encoding), which is not taken here: send it as it is."), NO_TEXT,
           NO_TEXT, 0, 0);
  } else if (r->tenant->body >= 0 && number(of->content_length) > r->tenant->body) {
    refuse_size(r, filter);
  } else {
    return 0;
  }
  return 1;
}

static int admit_model_request(request *r, void *filter, const sent *of, boolean ended) {
  if (refuse_headers(r, filter, of)) return STOP;
  r->endpoint = copy_of(part(of->path, 3, of->path.n));
  r->waits = 1;
  return ended ? admit_body(r, filter, NO_TEXT) : STOP;
}

static boolean is_endpoint(text path) {
  for (u32 i = 0; i < COUNT(ENDPOINTS); i++) {
    if (same(path, ENDPOINTS[i])) return 1;
  }
  return 0;
}

// What is said of a request's headers: STOP where it waits for its body, or was answered.
int admit(request *r, void *filter, boolean ended) {
  sent of = { .path = NO_TEXT };
  read_headers(filter, &of);
  text path = of.path;
  for (size i = 0; i < path.n; i++) {
    if (path.p[i] == '?') path.n = i;
  }
  r->path_size = path.n < sizeof r->path ? path.n : sizeof r->path;
  if (path.n) memcpy(r->path, path.p, r->path_size);
  r->post = same(of.method, T("POST"));
  if (same(path, T("/health"))) {
    header headers[1] = { JSON };
    envoy(http_send_response)(filter, 200, headers, 1, T("{\"status\":\"ok\"}"), T("corral"));
    return STOP;
  }
  r->tenant = r->plan->open ? r->plan->open : caller(r, filter, &of.credentials);
  if (!r->tenant) return STOP;
  if (of.credentials.claims.p) set_request_header(filter, T("x-corral-claims"), NO_TEXT);
  if (of.mirror.p) set_request_header(filter, T("x-corral-mirror"), NO_TEXT);
  if (of.credentials.token_failure.p) set_request_header(filter, T("x-corral-token-failure"), NO_TEXT);
  if (r->post && is_endpoint(path)) return admit_model_request(r, filter, &of, ended);
  if (starts(path, T("/v1/models/")) && path.n > 11) {
    one_model(r, filter, of.method, part(path, 11, path.n));
    return STOP;
  }
  let_routes_answer(r, filter);
  envoy(http_clear_route_cache)(filter);
  return CONTINUE;
}

static int refuse_body(void *filter, text code, const char *what, const char *wrong, text parameter) {
  char message[256];
  int n = snprintf(message, sizeof message, "The %s %s.", what, wrong);
  refuse(filter, 400, code, part((text){ message, sizeof message - 1 }, 0, (size)n), NO_TEXT, parameter, 0, 0);
  return STOP;
}

// A request for a model that there is not, which the routes answer.
static int let_routes_say_which(const request *r, void *filter, text name) {
  char shown[LONGEST_NAME];
  let_routes_answer(r, filter);
  set_request_header(filter, T("x-corral-model"), harmless(name, shown));
  envoy(http_clear_route_cache)(filter);
  return CONTINUE;
}

// The stream_options that make a stream tell its usage, owned by the caller; empty where the client's own do.  False:
// they can be read in two ways.
static boolean telling(text body, const member *options, buffer *to, char wrong[192]) {
  static const text INCLUDE_USAGE[1] = { { "include_usage", 13 } };
  text value = value_at(body, options);
  member members[1] = { { 0, 0, 0 } };
  if (same(value, T("null"))) {
    add(to, T("{\"include_usage\":true}"));
    return 1;
  }
  if (!find_members(value, INCLUDE_USAGE, 1, members, wrong)) return 0;
  if (same(value_at(value, members), T("true"))) return 1;
  text head = value, rest = NO_TEXT;
  if (members->to) { // it goes, with the comma beside it
    size behind = skip_blank(value, members->to);
    head = part(value, 0, members->key);
    rest = part(value, members->to, value.n);
    if (behind < value.n && value.p[behind] == ',') {
      rest = part(value, skip_blank(value, behind + 1), value.n);
    } else {
      while (head.n && is_blank(head.p[head.n - 1])) head.n--;
      if (head.n && head.p[head.n - 1] == ',') {
        head.n--;
      } else {
        head = part(value, 0, members->key);
      }
    }
  }
  buffer left = { 0, 0, 0 };
  add(&left, head);
  add(&left, rest);
  size first = skip_blank(all_of(&left), 1);
  add(to, T("{\"include_usage\":true"));
  if (first < left.n && left.p[first] != '}') add(to, T(","));
  add(to, part(all_of(&left), 1, left.n));
  free(left.p);
  return 1;
}

// Has a stream say its usage, in which case the answer's is to be taken out.  False: it was refused.
static boolean have_usage_counted(request *r, void *filter, text body, const member *members) {
  char wrong[192];
  buffer options = { 0, 0, 0 };
  const member *own = &members[STREAM_OPTIONS];
  if (!telling(body, own, &options, wrong)) {
    refuse_body(filter, T("invalid_value"), "\"stream_options\" of the request", wrong, NO_TEXT);
    free(options.p);
    return 0;
  }
  if (!options.n) return 1;
  edit *first = &r->edits[r->edit_count++];
  r->strips = 1;
  if (own->to) {
    *first = (edit){ own->from, own->to, all_of(&options) };
    return 1;
  }
  buffer inserted = { 0, 0, 0 };
  add(&inserted, T(",\"stream_options\":"));
  add(&inserted, all_of(&options));
  free(options.p);
  *first = (edit){ r->name.to, r->name.to, all_of(&inserted) };
  r->adds_options = 1;
  return 1;
}

static boolean read_stream(request *r, void *filter, text body, const member *members) {
  text stream = value_at(body, &members[STREAM]), path = { r->path, r->path_size };
  r->stream = same(stream, T("true"));
  if (!r->stream && !same(stream, T("false")) && !same(stream, T("null"))) {
    refuse_body(filter, T("invalid_value"), "\"stream\" of the request", "is neither true nor false", NO_TEXT);
    return 0;
  }
  for (u32 i = 0; r->stream && i < STREAM_USAGE; i++) {
    if (same(path, ENDPOINTS[i])) return have_usage_counted(r, filter, body, members);
  }
  return 1;
}

static boolean refuse_model(const request *r, void *filter, text body, const member *members) {
  buffer message = { 0, 0, 0 };
  text path = { r->path, r->path_size };
  if (!may_use(r, r->model->name)) {
    add(&message, T("Tenant "));
    add(&message, r->tenant->name);
    add(&message, T(" may not use the model "));
    add(&message, r->model->name);
    add(&message, T(". GET /v1/models lists those it may use."));
    refuse(filter, 403, T("model_not_allowed"), all_of(&message), T("permission_error"), NO_TEXT, 0, 0);
  } else if (same(path, T("/v1/responses")) && r->model->count > 1
             && !same(value_at(body, &members[PREVIOUS_RESPONSE_ID]), T("null"))) {
    add(&message, T("An earlier response is kept by the host that gave it, and several hosts share "));
    add(&message, r->model->name);
    add(&message, T(": send the whole conversation as input."));
    refuse(filter, 400, T("unsupported_parameter"), all_of(&message), NO_TEXT, T("previous_response_id"), 0, 0);
  } else if ((is_messages(r) && !r->model->takes_messages) || (same(path, T("/v1/rerank")) && !r->model->takes_rerank)) {
    add(&message, T("No host of "));
    add(&message, r->model->name);
    add(&message, T(" takes this: "));
    add(&message, path);
    add(&message, T("."));
    refuse(filter, 400, T("unsupported_parameter"), all_of(&message), NO_TEXT, NO_TEXT, 0, 0);
  } else {
    return 0;
  }
  free(message.p);
  return 1;
}

// What is said of a request's whole body: CONTINUE where it was let through, to a model or to an answer of the routes.
int admit_body(request *r, void *filter, text body) {
  member members[MEMBERS] = { { 0, 0, 0 } };
  char wrong[192], written[LONGEST_NAME * 2];
  size length = 0;
  r->waits = 0;
  if (r->tenant->body >= 0 && body.n > (size)r->tenant->body) {
    refuse_size(r, filter);
    return STOP;
  }
  if (!find_members(body, MEMBER_NAMES, MEMBERS, members, wrong)) {
    return refuse_body(filter, T("invalid_json"), "request body", wrong, NO_TEXT);
  }
  if (!string_at(body, &members[MODEL], written, sizeof written, &length) || !length) {
    refuse(filter, 400, T("model_required"), T("The request names no \"model\". GET /v1/models lists the models."), NO_TEXT,
           NO_TEXT, 0, 0);
    return STOP;
  }
  r->model = find_model(r->plan, (text){ written, length });
  if (!r->model) return let_routes_say_which(r, filter, (text){ written, length });
  r->name = members[MODEL];
  r->length = body.n;
  if (!read_stream(r, filter, body, members)) {
    r->model = 0;
    return STOP;
  }
  if (refuse_model(r, filter, body, members) || !leave_out(r, filter, body, members)) return STOP;
  if (r->tenant->name.n) r->grant = find_grant(r->plan, r->tenant, r->model->name);
  if (!reserve(r, filter, body, members)) return STOP;
  if (!begin(r, filter)) {
    settle(r, filter);
    return STOP;
  }
  r->began = now();
  r->admitted = 1;
  r->session = session_of(r, filter, body, members);
  r->takes_cache_key = r->session && is_chat(r) && !members[PROMPT_CACHE_KEY].to;
  show_shape(r);
  if (r->model->waits && !find_place(r, filter)) return STOP; // nor is a copy made of it
  copy_request(r, filter, body, members);
  envoy(http_clear_route_cluster_cache)(filter);
  return CONTINUE;
}
