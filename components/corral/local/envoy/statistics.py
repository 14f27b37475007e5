"""What Envoy counts for Corral: requests as clients see them, and attempts as hosts see them.

    corral.requests          {tenant, model, host, code, end}  one for each request; `host` is the one that answered
    corral.input_tokens      {tenant, model, host}        tokens of prompts, as hosts say
    corral.cached_tokens     {tenant, model, host}        those of them that the host had kept from a prompt before
    corral.output_tokens     {tenant, model, host}        tokens of answers; of one that was cut off its pieces
    corral.reasoning_tokens  {tenant, model, host}        those of them that were thoughts
    corral.limited           {tenant, model, limit}       requests that were refused for a limit
    corral.duration          {model, host}                milliseconds until the answer was complete, retries included
    corral.first_byte        {model, host}                milliseconds until the answer began
    corral.attempts          {model, host, code}          one for each attempt at a host, failed ones included
    corral.active            {tenant}                     requests under way, of a tenant with a limit on them
    corral.ejected_until     {model, host}                until when a host is left out, milliseconds since 1970

The last two are gauges of the module, which counts the attempts as well; the others are Envoy's own loggers of
statistics.

`model` is one of the plan's, never what a client wrote: an unknown model cannot make a new series.  What there is
none of is `-`.  `end` is how the answer ended: Envoy's response flags, a slash, and the failure that the module notes.
"""

from __future__ import annotations

from corral.local.envoy.names import GATEWAY, NAMESPACE
from corral.local.envoy.resource import Resource, extension

PREFIX = "corral"
REQUESTS, DURATION, FIRST_BYTE, ATTEMPTS, LIMITED = "requests", "duration", "first_byte", "attempts", "limited"
INPUT_TOKENS, OUTPUT_TOKENS = "input_tokens", "output_tokens"
CACHED_TOKENS, REASONING_TOKENS = "cached_tokens", "reasoning_tokens"

FAILURES = ("error", "unfinished")
"""What the module notes of a stream that failed: an error in it, or no end."""

ACTIVE = "active"

EJECTED_UNTIL = "ejected_until"


def metadata(key: str) -> str:
    """The command that gives what the module has noted of a request."""
    return f"%DYNAMIC_METADATA({NAMESPACE}:{key})%"


def _tag(name: str, value: str) -> Resource:
    return {"name": name, "value_format": value}


_TENANT = _tag("tenant", metadata("tenant"))
_TARGET = [_tag("model", metadata("route")), _tag("host", f"%UPSTREAM_METADATA({NAMESPACE}:host)%")]
_RESULT = [_tag("code", "%RESPONSE_CODE%"), _tag("end", f"%RESPONSE_FLAGS%/{metadata('failure')}")]


def _logger(prefix: str, stats: Resource, noted: str = "") -> Resource:
    """A logger of statistics, of those requests of which this is `noted` in the metadata."""
    matcher = {"filter": NAMESPACE, "path": [{"key": noted}], "value": {"present_match": True}}
    scope = {"prefix": prefix, "sharing_name": prefix}
    logger = extension("access_loggers.stats.v3.Config", {"stats_scope": scope, **stats})
    if noted:
        logger["filter"] = {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}
    return logger


def _counter(name: str, tags: list[Resource], value: str | None = None) -> Resource:
    amount = {"value_format": value} if value else {"value_fixed": 1}
    return {"stat": {"name": name, "tags": tags}, **amount}


def _milliseconds(name: str, value: str) -> Resource:
    return {"stat": {"name": name, "tags": _TARGET}, "unit": "Milliseconds", "value_format": value}


def count_requests() -> list[Resource]:
    """The gateway listener's logs."""
    tags = [_TENANT, *_TARGET]
    limited = [_TENANT, _tag("model", metadata("model")), _tag("limit", metadata("limit"))]
    requests = {
        "counters": [_counter(REQUESTS, [*tags, *_RESULT])],
        "histograms": [_milliseconds(DURATION, "%DURATION%")],
    }
    answers = {
        "counters": [
            _counter(INPUT_TOKENS, tags, metadata("input_counted")),
            _counter(OUTPUT_TOKENS, tags, metadata("output_tokens")),
        ],
        "histograms": [_milliseconds(FIRST_BYTE, metadata("first_byte"))],
    }
    details = [_counter(name, tags, metadata(f"{name}")) for name in (CACHED_TOKENS, REASONING_TOKENS)]
    return [
        _logger(PREFIX, requests),
        _logger(PREFIX, answers, "output_tokens"),
        _logger(PREFIX, {"counters": details}, CACHED_TOKENS),
        _logger(PREFIX, {"counters": [_counter(LIMITED, limited)]}, "limit"),
    ]


_PREFIXES = (f"{PREFIX}.", "cluster_manager.", "listener_manager.", "server.", f"http.{GATEWAY}.")
_SUFFIXES = (".version_text", ".update_rejected", ".upstream_rq_active", ".downstream_cx_active")
KEPT = [
    *({"prefix": prefix} for prefix in _PREFIXES),
    *({"suffix": suffix} for suffix in _SUFFIXES),
]
"""The statistics Envoy keeps at all: a thousand models would bring a hundred thousand that nobody reads."""
