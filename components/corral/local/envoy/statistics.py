"""What the module counts: requests as clients see them, and attempts as hosts see them.

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
    corral.waiting           {model, host}                requests that wait for a host that is full
    corral.ejected_until     {model, host}                until when a host is left out, milliseconds since 1970

They are read from the path `PATH` of Envoy's admin interface, as they are at that moment and in the form of Envoy's own
statistics; the last three are gauges.

`model` is one of the plan's, never what a client wrote: an unknown model cannot make a new series.  What there is
none of is `-`.  `end` is how the answer ended: Envoy's response flags, a slash, and the failure that the module notes.
"""

from __future__ import annotations

from corral.local.envoy.names import GATEWAY

PREFIX = "corral"
PATH = "/corral"
REQUESTS, DURATION, FIRST_BYTE, ATTEMPTS, LIMITED = "requests", "duration", "first_byte", "attempts", "limited"
INPUT_TOKENS, OUTPUT_TOKENS = "input_tokens", "output_tokens"
CACHED_TOKENS, REASONING_TOKENS = "cached_tokens", "reasoning_tokens"

ACTIVE, WAITING, EJECTED_UNTIL = "active", "waiting", "ejected_until"

_PREFIXES = ("cluster_manager.", "listener_manager.", "server.", f"http.{GATEWAY}.")
_SUFFIXES = (".version_text", ".update_rejected", ".upstream_rq_active", ".downstream_cx_active")
KEPT = [
    *({"prefix": prefix} for prefix in _PREFIXES),
    *({"suffix": suffix} for suffix in _SUFFIXES),
]
"""The statistics Envoy keeps at all: a thousand models would bring a hundred thousand that nobody reads."""
