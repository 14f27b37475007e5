"""What Envoy counts for Corral: requests as clients see them, and attempts as hosts see them.

    corral.requests       {tenant, model, host, code}   one for each request; `host` is the one that answered
    corral.input_tokens   {tenant, model, host}         tokens of prompts, as hosts say
    corral.output_tokens  {tenant, model, host}         tokens of answers; of one that was cut off, the pieces that came
    corral.limited        {tenant, model, limit}        requests that were refused for a limit
    corral.duration       {model, host}                 milliseconds until the answer was complete, retries included
    corral.first_byte     {model, host}                 milliseconds until the answer began
    corral.attempts       {model, host, code}           one for each attempt at a host, failed ones included
    corral.active         {link}                        attempts that have not ended

and, where they are limited, the requests under way: all of them, and those of a tenant.

    http.gateway.lua.corral.active
    http.gateway.lua.corral.active.<tenant>

The gateway's script counts a request when it lets it through, and the log of its end, which comes however it ends,
takes it off.  Envoy has a statistic once for each way in which its name is put together, equal texts or not: a script's
is `lua` and the script's prefix, and then in one piece the name that the script says.  The log puts it together in the
same way, from a name, a tag and the tag's value.

`model` is the name of the route, never what a client wrote: an unknown model cannot make a new series.  What there is
none of is `-`.
"""

from __future__ import annotations

from corral.local.envoy.names import GATEWAY, NAMESPACE, TYPE, Resource

PREFIX = "corral"
REQUESTS, DURATION, FIRST_BYTE, ATTEMPTS, LIMITED = "requests", "duration", "first_byte", "attempts", "limited"
INPUT_TOKENS, OUTPUT_TOKENS = "input_tokens", "output_tokens"

ACTIVE = "active"

ACTIVE_ATTEMPTS = f"{PREFIX}.{ACTIVE}"


def active_attempts(link: str) -> str:
    """The statistic that counts the attempts a link has not finished."""
    return f"{ACTIVE_ATTEMPTS}.link.{link}"


_STATS = TYPE + "envoy.extensions.access_loggers.stats.v3.Config"


def known(key: str) -> str:
    """The command that gives what the gateway's scripts know of a request."""
    return f"%DYNAMIC_METADATA({NAMESPACE}:{key})%"


def _tag(name: str, value: str) -> Resource:
    return {"name": name, "value_format": value}


_TENANT = _tag("tenant", known("asked:tenant"))
_WHERE = [_tag("model", "%ROUTE_NAME%"), _tag("host", f"%UPSTREAM_METADATA({NAMESPACE}:host)%")]
_CODE = _tag("code", "%RESPONSE_CODE%")


def _where(*path: str) -> Resource:
    """Only requests of which this is known."""
    matcher = {
        "filter": NAMESPACE,
        "path": [{"key": key} for key in path],
        "value": {"present_match": True},
    }
    return {"filter": {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}}


def _logger(prefix: str, counters: list[Resource], histograms: list[Resource], *known: str) -> Resource:
    return {
        "name": "envoy.access_loggers.stats",
        **(_where(*known) if known else {}),
        "typed_config": {
            "@type": _STATS,
            "stats_scope": {"prefix": prefix, "sharing_name": prefix},
            "counters": counters,
            "histograms": histograms,
        },
    }


def _counter(name: str, tags: list[Resource], value: str | None = None) -> Resource:
    amount = {"value_format": value} if value else {"value_fixed": 1}
    return {"stat": {"name": name, "tags": tags}, **amount}


def _milliseconds(name: str, value: str) -> Resource:
    return {"stat": {"name": name, "tags": _WHERE}, "unit": "Milliseconds", "value_format": value}


_MINUS_ONE = str(2**64 - 1)
"""What a counter, of 64 bits without a sign, is less by one after.  As text: a number of JSON may lose digits."""


def _under_way(name: str, *known: str) -> Resource:
    """Takes a request off a counter of the gateway's script, whose `name` is there."""
    counter = {"stat": {"name": "lua", "tags": [_tag(PREFIX, name)]}, "value_fixed": _MINUS_ONE}
    return _logger(f"http.{GATEWAY}", [counter], [], *known)


def count_requests() -> list[Resource]:
    """The gateway listener's logs."""
    tokens = [_TENANT, *_WHERE]
    return [
        _logger(PREFIX, [_counter(REQUESTS, [_TENANT, *_WHERE, _CODE])], [_milliseconds(DURATION, "%DURATION%")]),
        _logger(
            PREFIX,
            [
                _counter(INPUT_TOKENS, tokens, known("answer:input_counted")),
                _counter(OUTPUT_TOKENS, tokens, known("answer:output_tokens")),
            ],
            [_milliseconds(FIRST_BYTE, known("answer:first_byte"))],
            "answer",
        ),
        _logger(
            PREFIX,
            [
                _counter(
                    LIMITED, [_TENANT, _tag("model", known("limited:model")), _tag("limit", known("limited:limit"))]
                )
            ],
            [],
            "limited",
        ),
        _under_way(ACTIVE, "asked", "counted_of_all"),
        _under_way(f"{ACTIVE}.{known('asked:tenant')}", "asked", "counted_of_tenant"),
    ]


def count_attempts() -> list[Resource]:
    """The logs of the attempts at hosts: what became of each, and how many a link has not finished."""
    ended = {"filter": {"log_type_filter": {"types": ["UpstreamEnd"]}}}
    under_way = {
        "stat": {"name": ACTIVE, "tags": [_tag("link", f"%UPSTREAM_METADATA({NAMESPACE}:link)%")]},
        "value_fixed": 1,
        "add_subtract": {"add_log_type": "UpstreamPoolReady", "sub_log_type": "UpstreamEnd"},
    }
    active = _logger(PREFIX, [], [])
    active["typed_config"]["gauges"] = [under_way]
    return [{**_logger(PREFIX, [_counter(ATTEMPTS, [*_WHERE, _CODE])], []), **ended}, active]


KEPT = [
    {"prefix": f"{PREFIX}."},
    {"prefix": "cluster_manager."},
    {"prefix": "listener_manager."},
    {"prefix": "server."},
    {"prefix": f"http.{GATEWAY}."},
    {"suffix": ".version_text"},
    {"suffix": ".update_rejected"},
    {"suffix": ".upstream_rq_active"},
    {"suffix": ".downstream_cx_active"},
    {"contains": ".outlier_detection."},
]
"""The statistics Envoy keeps at all: a thousand models would bring a hundred thousand that nobody reads."""
