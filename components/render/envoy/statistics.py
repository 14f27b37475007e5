"""What Envoy counts for Corral: requests as clients see them, and attempts as hosts see them.

    corral.requests  {model, host, code}   one for each request; `host` is the one that answered, `-` where none did
    corral.duration  {model, host}         milliseconds until the answer was complete, retries included
    corral.attempts  {model, host, code}   one for each attempt at a host, failed ones included

`model` is the name of the route, never what a client wrote: an unknown model cannot make a new series.
"""

from __future__ import annotations

from components.render.envoy.names import ROUTE_HOST, TYPE, Resource

PREFIX = "corral"
REQUESTS, DURATION, ATTEMPTS = "requests", "duration", "attempts"


def _logger(counter: str, tags: list[Resource], histograms: list[Resource]) -> Resource:
    return {
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": PREFIX, "sharing_name": PREFIX},
            "counters": [{"stat": {"name": counter, "tags": tags}, "value_fixed": 1}],
            "histograms": histograms,
        },
    }


def _tag(name: str, value: str) -> Resource:
    return {"name": name, "value_format": value}


_CODE = _tag("code", "%RESPONSE_CODE%")


def count_requests() -> Resource:
    """The gateway listener's log."""
    where = [_tag("model", "%ROUTE_NAME%"), _tag("host", "%UPSTREAM_METADATA(corral:host)%")]
    return _logger(
        REQUESTS,
        [*where, _CODE],
        [{"stat": {"name": DURATION, "tags": where}, "unit": "Milliseconds", "value_format": "%DURATION%"}],
    )


def count_attempts() -> Resource:
    """The relay's log."""
    return _logger(
        ATTEMPTS, [_tag("model", "%ROUTE_NAME%"), _tag("host", f"%METADATA(ROUTE:{ROUTE_HOST})%"), _CODE], []
    )


KEPT = [
    {"prefix": f"{PREFIX}."},
    {"prefix": "cluster_manager."},
    {"prefix": "listener_manager."},
    {"prefix": "server."},
    {"prefix": "http.gateway."},
    {"suffix": ".version_text"},
    {"suffix": ".update_rejected"},
    {"suffix": ".upstream_rq_active"},
    {"suffix": ".downstream_cx_active"},
    {"contains": ".outlier_detection."},
]
"""The statistics Envoy keeps at all: a thousand models would bring a hundred thousand that nobody reads."""
