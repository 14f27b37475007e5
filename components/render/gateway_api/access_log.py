"""The access log: one JSON object a line for each request, on the standard output of each Envoy.  No text of a prompt
or an answer, and no key, is in it.

The names are those of the embedded engine's log.  Who calls is in a header until the request goes to a host, which has
no business with it; for then Envoy AI Gateway keeps it beside what it knows itself (`KEPT_OF_REQUESTS`).  So there are
two formats, of which each request matches one.

Tokens are what the host counts.  Envoy AI Gateway asks for that of streams too once it is to count (as `include_usage`
of `stream_options`), and says 0 where a host does not answer it.
"""

from __future__ import annotations

from typing import Any

from components.render.gateway_api.names import HOST_HEADER, METADATA, MODEL_HEADER, TENANT_HEADER

_TENANT = "tenant"

KEPT_OF_REQUESTS = f"{TENANT_HEADER}:{_TENANT}"
"""Header and name, as Envoy AI Gateway's controller is told what of a request to keep for the log."""

TOKENS = [
    {"metadataKey": "input_tokens", "type": "InputToken"},
    {"metadataKey": "output_tokens", "type": "OutputToken"},
]
"""What Envoy AI Gateway is to count for it."""

_STILL_SAYS_WHO = f"'{TENANT_HEADER}' in request.headers"


def _known(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


_FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "id": "%REQ(x-request-id)%",
    "model": f"%REQ({MODEL_HEADER})%",
    "host": f"%REQ({HOST_HEADER})%",
    "host_model": _known("model_name_override"),
    "method": "%REQ(:method)%",
    "path": "%REQ_WITHOUT_QUERY(x-ai-eg-original-path?:path)%",
    "status": "%RESPONSE_CODE%",
    **{each["metadataKey"]: _known(each["metadataKey"]) for each in TOKENS},
    "first_byte_ms": "%RESPONSE_DURATION%",
    "duration_ms": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
}


def access_log() -> dict[str, Any]:
    """For the telemetry of an EnvoyProxy."""
    return {
        "settings": [
            _setting(_STILL_SAYS_WHO, f"%REQ({TENANT_HEADER})%"),
            _setting(f"!({_STILL_SAYS_WHO})", _known(_TENANT)),
        ]
    }


def _setting(matches: str, tenant: str) -> dict[str, Any]:
    return {
        "matches": [matches],
        "format": {"type": "JSON", "json": {**_FIELDS, "tenant": tenant}},
        "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
    }
