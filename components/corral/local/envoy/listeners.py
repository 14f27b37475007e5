"""The gateway's listener, which clients connect to."""

from __future__ import annotations

from pathlib import Path

from corral.local.envoy import module, replies
from corral.local.envoy.clusters import READ_AHEAD_BYTES
from corral.local.envoy.names import ATTEMPT, CERTIFICATE, GATEWAY, Files
from corral.local.envoy.resource import Resource, extension, typed, watched
from corral.plan.failover import DROPPED_PREFIXES, UPLOAD_SECONDS
from corral.plan.plan import RequestSettings

_HEADERS_SECONDS = 10
"""How long a client may take to send the headers of a request."""

_SILENCE_SECONDS = 30
"""How long a client may send nothing of the body it has begun, and take nothing of an answer's end."""

_IDLE_SECONDS = 300
"""How long a connection may be open without a request; clients keep theirs for seconds."""


def _tls(files: Files) -> Resource:
    secret = {"name": CERTIFICATE, "sds_config": watched(files.certificate)}
    context = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificate_sds_secret_configs": [secret]}
    return extension("transport_sockets.tls.v3.DownstreamTlsContext", {"common_tls_context": context})


def _filter(name: str, files: Files) -> Resource:
    return {"name": module.FILTER, "typed_config": module.filter_of(name, files)}


def gateway(
    address: str, port: int, settings: RequestSettings, files: Files, log: Path, verifiers: list[Resource], *, tls: bool
) -> Resource:
    """The listener clients connect to.  `verifiers` are the filters that look at tokens, where there is an issuer."""
    router = extension(
        "filters.http.router.v3.Router",
        {
            "suppress_envoy_headers": True,
            "dynamic_stats": False,  # counters by status that nobody reads: what is counted is the module's
            "upstream_http_filters": [
                _filter(ATTEMPT, files),
                extension("filters.http.upstream_codec.v3.UpstreamCodec"),
            ],
        },
    )
    cors = [extension("filters.http.cors.v3.Cors", {})] if settings.origins else []
    dropped = [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in DROPPED_PREFIXES]
    manager = {
        "stat_prefix": GATEWAY,
        "rds": {"route_config_name": GATEWAY, "config_source": watched(files.routes)},
        "common_http_protocol_options": {
            "idle_timeout": f"{_IDLE_SECONDS}s",
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "stream_idle_timeout": f"{_SILENCE_SECONDS}s",
        "stream_flush_timeout": f"{_SILENCE_SECONDS}s",
        "server_header_transformation": "PASS_THROUGH",
        "always_set_request_id_in_response": True,
        "access_log": [module.access_log(log, files)],
        "local_reply_config": replies.gateway_replies(settings.body_limit),
        "http_filters": [
            *cors,
            *verifiers,
            _filter(GATEWAY, files),
            router,
        ],
        "http_protocol_options": {"accept_http_10": True},
        "use_remote_address": True,
        "normalize_path": True,
        "request_timeout": f"{UPLOAD_SECONDS}s",
        "request_headers_timeout": f"{_HEADERS_SECONDS}s",
        "http2_protocol_options": {
            "initial_stream_window_size": 2**24,
            "initial_connection_window_size": 2**25,
            "max_concurrent_streams": 1000,
        },
        "early_header_mutation_extensions": [
            extension(
                "http.early_header_mutation.header_mutation.v3.HeaderMutation",
                {"mutations": dropped},
            )
        ],
    }
    http = extension("filters.network.http_connection_manager.v3.HttpConnectionManager", manager)
    fields = {
        "name": GATEWAY,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "per_connection_buffer_limit_bytes": READ_AHEAD_BYTES,
        "filter_chains": [{"filters": [http], **({"transport_socket": _tls(files)} if tls else {})}],
    }
    return typed("config.listener.v3.Listener", fields)
