"""The access log: one JSON object a line for each request.  No text of a prompt or an answer, and no key, is in it.

The listeners: the gateway that clients connect to, and one for each host that passes bytes on to it.
"""

from __future__ import annotations

from pathlib import Path

from corral.local.envoy import replies, scripts, statistics
from corral.local.envoy import upstream_filters as attempts
from corral.local.envoy.clusters import READ_AHEAD
from corral.local.envoy.names import GATEWAY, NAMESPACE, TYPE, Files, Resource, watched
from corral.local.envoy.statistics import known
from corral.local.envoy.upstream import Link
from corral.plan.failover import DROPPED_PREFIXES, UPLOAD_SECONDS
from corral.plan.plan import Limits

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


_HEADERS_TIME = "10s"
"""How long a client may take to send the headers of a request."""

_UPLOAD_SILENCE = "30s"
"""How long a client may send nothing of the body it has begun, and take nothing of an answer's end."""

_IDLE_TIME = "300s"
"""How long a connection may be open without a request; clients keep theirs for seconds."""


def _chain(filter_name: str, config: Resource) -> list[Resource]:
    return [{"filters": [{"name": filter_name, "typed_config": config}]}]


def gateway(address: str, port: int, limits: Limits, files: Files, log: Path, verifier: Resource | None) -> Resource:
    """The listener clients connect to.  `verifier` is the filter that looks at tokens, where anybody vouches."""
    manager = {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": GATEWAY,
        "rds": {"route_config_name": GATEWAY, "config_source": watched(files.routes)},
        "common_http_protocol_options": {
            "idle_timeout": _IDLE_TIME,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "stream_idle_timeout": _UPLOAD_SILENCE,
        "stream_flush_timeout": _UPLOAD_SILENCE,
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [*statistics.count_requests(), access_log(log)],
        "local_reply_config": replies.gateway_replies(limits.body_limit),
        "http_filters": [
            *([verifier] if verifier else []),
            {"name": scripts.FILTER, "typed_config": scripts.gateway()},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                    "upstream_http_filters": attempts.http_filters(files),
                    "upstream_log": statistics.count_attempts(),
                    "upstream_log_options": {"flush_upstream_log_on_upstream_stream": True},
                },
            },
        ],
        "use_remote_address": True,
        "normalize_path": True,
        "request_timeout": f"{UPLOAD_SECONDS}s",
        "request_headers_timeout": _HEADERS_TIME,
        "http2_protocol_options": {
            "initial_stream_window_size": 2**24,
            "initial_connection_window_size": 2**25,
            "max_concurrent_streams": 1000,
        },
        "early_header_mutation_extensions": [
            {
                "name": "envoy.http.early_header_mutation.header_mutation",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [
                        {"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in DROPPED_PREFIXES
                    ],
                },
            }
        ],
    }
    return {
        "@type": TYPE + "envoy.config.listener.v3.Listener",
        "name": GATEWAY,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "per_connection_buffer_limit_bytes": READ_AHEAD,
        "filter_chains": _chain("envoy.filters.network.http_connection_manager", manager),
    }


def to_host(link: Link) -> Resource:
    """The internal listener of one host: what goes through it never leaves the process."""
    proxy = {
        "@type": TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "host",
        "cluster": link.name,
        "idle_timeout": "0s",
    }
    return {
        "@type": TYPE + "envoy.config.listener.v3.Listener",
        "name": link.name,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": READ_AHEAD,
        "filter_chains": _chain("envoy.filters.network.tcp_proxy", proxy),
    }
