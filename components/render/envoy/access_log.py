"""The access log: one JSON object a line for each request.  No text of a prompt or an answer, and no key, is in it."""

from __future__ import annotations

from pathlib import Path

from components.render.envoy.names import NAMESPACE, TYPE, Resource
from components.render.envoy.statistics import known

_FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "id": "%REQUEST_HEADER(x-request-id)%",
    "tenant": known("asked:tenant"),
    "model": known("asked:model"),
    "host": f"%UPSTREAM_METADATA({NAMESPACE}:host)%",
    "host_model": f"%UPSTREAM_METADATA({NAMESPACE}:id)%",
    "method": "%REQUEST_HEADER(:method)%",
    "path": known("asked:path"),
    "stream": known("asked:stream"),
    "status": "%RESPONSE_CODE%",
    "input_tokens": known("answer:input_tokens"),
    "output_tokens": known("answer:output_tokens"),
    "estimated": known("answer:estimated"),
    "first_byte_ms": known("answer:first_byte"),
    "duration_ms": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
    "limit": known("limited:limit"),
}


def access_log(file: Path) -> Resource:
    """Writes what became of every request into a file."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(file),
            "log_format": {"json_format": _FIELDS},
        },
    }
