"""The listeners: the gateway that clients connect to, and the internal relay."""

from __future__ import annotations

from components.plan.plan import Limits
from components.render.envoy import replies, statistics
from components.render.envoy.clusters import body_room
from components.render.envoy.names import GATEWAY, RELAY, TYPE, Files, Resource, watched

_UPLOAD_TIME = "300s"
"""How long a client may take to send a request."""


def _http(name: str, log: Resource, local_replies: Resource, files: Files) -> Resource:
    """What both HTTP connection managers share."""
    return {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": name, "config_source": watched(files.routes(name))},
        "stream_idle_timeout": "0s",
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [log],
        "local_reply_config": local_replies,
        "http_filters": [
            {
                "name": "envoy.filters.http.transform",
                "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.transform.v3.TransformConfig"},
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
    }


def _chain(manager: Resource) -> list[Resource]:
    return [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]


def gateway(address: str, port: int, limits: Limits, files: Files) -> Resource:
    """The listener clients connect to."""
    manager = _http(GATEWAY, statistics.count_requests(), replies.gateway_replies(limits.body_limit), files)
    return {
        "@type": TYPE + "envoy.config.listener.v3.Listener",
        "name": GATEWAY,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "per_connection_buffer_limit_bytes": limits.body_limit,
        "filter_chains": _chain(
            {
                **manager,
                "use_remote_address": True,
                "normalize_path": True,
                "request_timeout": _UPLOAD_TIME,
                "request_headers_timeout": "30s",
                "http2_protocol_options": {
                    "initial_stream_window_size": 2**24,
                    "initial_connection_window_size": 2**25,
                    "max_concurrent_streams": 1000,
                },
                "early_header_mutation_extensions": [
                    {
                        "name": "envoy.http.early_header_mutation.header_mutation",
                        "typed_config": {
                            "@type": TYPE
                            + "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                            "mutations": [
                                {"remove_on_match": {"key_matcher": {"prefix": prefix}}}
                                for prefix in ("x-corral-", "x-envoy-")
                            ],
                        },
                    }
                ],
            }
        ),
    }


def relay(limits: Limits, files: Files) -> Resource:
    """The internal listener through which every attempt at a host goes."""
    return {
        "@type": TYPE + "envoy.config.listener.v3.Listener",
        "name": RELAY,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": body_room(limits),
        "filter_chains": _chain(
            {
                **_http(RELAY, statistics.count_attempts(), replies.relay_replies(), files),
                "skip_xff_append": True,
                "generate_request_id": False,
            }
        ),
    }
