"""The errors the gateway itself answers with, shaped as OpenAI's API shapes them.

`{"error": {"message", "type", "code"}}`, always as JSON.  What a host answers passes through as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from corral.local.envoy.names import MODEL_HEADER
from corral.local.envoy.resource import Resource, extension, header

_LISTED_MODELS = 20
"""How many models an error names before it points to `/v1/models`."""

_JSON = "application/json"


def error(message: str, kind: str, code: str) -> Resource:
    """The body of an error; `message` may hold Envoy's substitution commands."""
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


def _bad_request(message: str, code: str) -> Resource:
    return error(message, "invalid_request_error", code)


def _direct(name: str, status: int, body: Resource) -> Resource:
    """A route that answers by itself.  Its name has a space in it, so that no model can be called the same."""
    return {
        "name": name,
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body_format": {"json_format": body, "content_type": _JSON}},
    }


def unknown_model(names: Sequence[str]) -> Resource:
    """404, with the models there are."""
    listed = ", ".join(names[:_LISTED_MODELS])
    more = f" and {len(names) - _LISTED_MODELS} more (GET /v1/models)" if len(names) > _LISTED_MODELS else ""
    message = f"The model '%REQ({MODEL_HEADER}):100%' does not exist here. Models: {listed}{more}."
    return _direct("unknown model", 404, _bad_request(message, "model_not_found"))


def unknown_path() -> Resource:
    """404: not one of the API's paths."""
    message = (
        "There is nothing at this path. Served: POST /v1/chat/completions, /v1/completions, /v1/embeddings,"
        " /v1/responses, /v1/messages, /v1/rerank, GET /v1/models, /v1/models/<model> and /health."
    )
    return _direct("unknown path", 404, _bad_request(message, "unknown_url"))


def wrong_method(allowed: str) -> Resource:
    """405."""
    reply = _direct("wrong method", 405, _bad_request(f"Use {allowed} here.", "method_not_allowed"))
    return {**reply, "response_headers_to_add": [{"header": {"key": "allow", "value": allowed}}]}


def model_list(names: Sequence[str]) -> Resource:
    """200: the answer to `GET /v1/models`."""
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "corral"} for name in names]
    body = json.dumps({"object": "list", "data": models})
    return {
        "name": "model list",
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": body}},
        "response_headers_to_add": [header("content-type", _JSON)],
    }


_OWN_REPLY = {
    "extension_filter": extension(
        "access_loggers.filters.cel.v3.ExpressionFilter",
        {"expression": "response.code_details in ['direct_response', 'corral']"},
    )
}


def _mapper(code: int, body: Resource) -> Resource:
    status = {"op": "EQ", "value": {"default_value": code, "runtime_key": "-"}}
    return {
        "filter": {"status_code_filter": {"comparison": status}},
        "body_format_override": {"json_format": body, "content_type": _JSON},
    }


def gateway_replies(body_limit: int) -> Resource:
    """How the gateway listener words the errors that Envoy raises by itself."""
    too_large = f"The request body is larger than {body_limit // 2**20} MiB ({body_limit} bytes), the most taken here."
    unsupported = _bad_request(
        "Requests of this kind are not taken here: neither upgrades and tunnels, nor other versions than HTTP/1 and "
        "HTTP/2, nor transfer codings but chunked.",
        "unsupported",
    )
    overloaded = error("The gateway has no memory left for more requests. Try again.", "server_error", "overloaded")
    none_left = "No host is left that can answer for this model: %LOCAL_REPLY_BODY%. Try again."
    own = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": _JSON}
    return {
        "mappers": [
            {"filter": _OWN_REPLY, "body_format_override": own},
            _mapper(413, _bad_request(too_large, "request_too_large")),
            _mapper(408, _bad_request("The request did not arrive in time.", "request_timeout")),
            _mapper(431, _bad_request("The request headers are too large.", "headers_too_large")),
            _mapper(400, _bad_request("The request is not valid HTTP.", "bad_request")),
            *(_mapper(code, unsupported) for code in (403, 404, 426, 501)),
            {
                "filter": {"response_flag_filter": {"flags": ["OM"]}},
                "body_format_override": {"json_format": overloaded, "content_type": _JSON},
            },
            *(_mapper(code, error(none_left, "server_error", "no_host_left")) for code in (503, 504)),
        ],
        "body_format": {
            "json_format": error("%LOCAL_REPLY_BODY%", "server_error", "gateway_error"),
            "content_type": _JSON,
        },
    }
