"""What both engines do alike to a request: when it goes on to another host, and which of its headers are taken away.

Policy of failover.  Every 5xx sends a request on, and so does no answer at all.  Of the answers below 500 those do that
another host may better: what this host says of its key, of its model or of its load says nothing of the others.  Any
other answer is about the request itself, which every host would refuse alike, and is the client's to read.  Silence
for the stack's `idleTimeout` sends it on once, and then no more.  A host that fails again and again is ejected for the
stack's `ejectionTime`, and one time more for each time after, up to Envoy's 300 seconds; every host may be ejected, but
when all are, they are tried all the same rather than none.

Policy of headers.  A client can set nothing that steers a gateway, and a host sees neither a client's keys nor where
the client is.  Where an engine cannot do what the other does, the constant says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from corral.plan.plan import ModelPlan

REFUSED_STATUS = (401, 403, 404, 410)
"""The key is wrong or may not do this; the model is unknown, or gone."""

THROTTLED_STATUS = 429

INCAPABLE_STATUS = (402, 408, 409, 413, 424, 425, 498)
"""The host has no credit left, no time, no room for this one now (Groq: 413 beyond the tokens of a minute, 498 beyond
its capacity), or a part of it failed.  None of these is the client's: the gateway refuses what is too large itself."""

REDIRECT_STATUS = (301, 302, 303, 307, 308)
"""The host's URL is wrong: a client that followed would show its key elsewhere."""

RETRIED_STATUS = tuple(sorted((*REDIRECT_STATUS, *REFUSED_STATUS, *INCAPABLE_STATUS, THROTTLED_STATUS)))
"""All of them below 500, in order."""

UNSUPPORTED_HEADER = "x-corral-unsupported"
"""In a refusal of the adapter's the parameter that the host cannot take, so that another host is asked."""

HOST_HEADERS = (
    *("alt-svc", "set-cookie", "strict-transport-security", "location"),
    *(f"access-control-{name}" for name in ("allow-origin", "allow-credentials", "allow-headers", "allow-methods")),
    *("access-control-expose-headers", "access-control-max-age", "access-control-allow-private-network"),
    *("clear-site-data", "nel", "report-to", "public-key-pins", "server-timing"),
    *("openai-organization", "openai-project", "openai-version", "anthropic-organization-id"),
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
)
"""Headers of answers that speak of the host's own site, or of the account there and what is left of its limits.  The
local engine's own headers of limits are set after these are taken away."""

REQUEST_ID_HEADER = "x-request-id"
"""Of every answer, and of the line of it in the log."""

RETRY_ON = ("connect-failure", "refused-stream", "reset", "5xx", "retriable-status-codes")
"""What sends a request on, in Envoy's words; the last are `RETRIED_STATUS`."""

SILENT_ATTEMPTS = 2
"""Attempts of a request that may end in silence: a host that is given up may be at work all the same, and is paid for.
So a client that has got nothing for so many times `idleTimeout` gets 504, however many hosts there are."""

CONSECUTIVE_FAILURES = 5
"""Failures in a row after which a host is ejected: one bad answer of a busy host is no pattern, and at most so many
requests of a connection are tried twice."""

EJECTING_STATUS = "50[1-9]|5[1-9].|[6-9].."
"""The statuses that are such failures, as a regular expression.  500 is none: a request on which every host fails would
leave all of them out, and what comes after it would meet nobody that is well.  The local engine counts a stream that
breaks off, has no end or has an error in it as well; on a cluster it began with 200, and Envoy Gateway knows two sets
of statuses alone, of which that without 500 has 502, 503 and 504."""

EJECTION_INTERVAL_MILLISECONDS = 1_000
"""How often Envoy looks whether an ejected host may come back; its own default of 10 s would hold a host back.  For
each such interval in which a host was not ejected one of its ejections is forgotten."""

MAX_EJECTION_MILLISECONDS = 300_000
"""Envoy's own default, and the local engine's."""

MAX_EJECTION_PERCENT = 100
"""Of the hosts of a model: with two hosts, Envoy's default of 10 would keep the failing one."""

PANIC_PERCENT = 1
"""Hosts that are well, below which all are tried: met only when none is."""

BACK_OFF_MILLISECONDS, MAX_BACK_OFF_MILLISECONDS = 5, 50
"""Before a retry.  It goes to another host, which a wait would not help."""

SELECTION_ATTEMPTS = 200
"""How often a retry on the kubernetes engine draws again when the weights hand it a host that was tried already.
Hosts take turns by weight: of 100 draws each has as many as its share, so that 99 find any of them for certain; twice
as many, since turns begin anew when a host is ejected.  Envoy Gateway 1.8.3 says 5, with which half of the retries meet
a host of 90 % again.  A draw takes 0.4 µs.  The local engine draws among those that are left."""

MAX_ADDRESSES = 8
"""Addresses that the name of a host leads to at most: Route 53 answers with up to eight.  On the kubernetes engine each
of them is a host to Envoy, which is to have tried them all before it gives up; the local engine takes one of them."""

UNBOUNDED = 1_000_000
"""Connections, requests and retries at a time for a circuit breaker that never breaks.  Where nothing is said, Envoy
breaks at 1,024 requests and 3 retries, which is for short answers (streams stay open for minutes): requests would fail
though every host is well, and while one is not, those that a fallback could have answered."""

UPLOAD_SECONDS = 300
"""How long a client may take to send a request."""


@dataclass(frozen=True)
class KeepAlive:
    """TCP's probes of a silent connection."""

    probes: int
    """Without an answer, until the connection is dead."""
    idle_seconds: int
    """Silence before the first."""
    interval_seconds: int


HOST_KEEP_ALIVE = KeepAlive(probes=3, idle_seconds=30, interval_seconds=10)
"""To hosts: an answer may be silent for minutes, and a host that vanished is noticed after one."""

CLIENT_KEEP_ALIVE = KeepAlive(probes=3, idle_seconds=60, interval_seconds=30)
"""To clients, of the kubernetes engine alone: its load balancer forgets a silent connection after 350 s.  The local
engine has none before it, and closes a connection without a request itself."""


def retried_status(hosts: int) -> list[int]:
    """Below 500 what sends a request on where a model has so many hosts: a lone one that is busy is not asked again, so
    that its `Retry-After` gets to the client."""
    return [status for status in RETRIED_STATUS if hosts > 1 or status != THROTTLED_STATUS]


def retries(hosts: int) -> int:
    """How many attempts may follow the first at so many hosts that a request can go to: each once; one more for a lone
    one.

    So counts the local engine.
    """
    return max(1, hosts - 1)


def retries_by_priority(model: ModelPlan, hosts: tuple[str, ...]) -> tuple[int, int]:
    """How many attempts are made at one priority before the next, and how many may follow the first in all, at those
    of the model's hosts that some tenants are served by.

    So counts the kubernetes engine.  Its Envoy counts alike at each priority, so that with several fallbacks one of
    them may be asked again before the next.  Without a fallback there are attempts for all addresses of a host that
    fails, and for the other hosts.  Drained hosts count, so that no share edit changes the policy.  Where none of the
    sharing hosts is left, the first of the fallbacks stands in their place.
    """
    left = [target for target in model.targets if target.host in hosts]
    sharing = sum(target.priority == 0 for target in left) or 1
    fallbacks = len(left) - sharing
    if fallbacks:
        return sharing, sharing * fallbacks
    return sharing, sharing - 1 + MAX_ADDRESSES - 1 if sharing > 1 else 1


DROPPED_PREFIXES = ("x-ai-eg-", "x-aigw-", "x-corral-", "x-envoy-", "x-forwarded-", "x-gateway-destination-")
"""Beginnings of headers that say where a request goes, for whom, with whose credential and how often it is tried: what
a client sends of them is dropped before anything is read.  Either engine drops those of the other too, which may stand
behind it as a host."""

TOKEN_HEADER = "authorization"  # noqa: S105
"""The header with a tenant's key or token, which the gateway reads and no host sees."""

CLIENT_CREDENTIALS = ("api-key", "cookie", "proxy-authorization", "x-api-key")
"""Headers with secrets that are between the client and a gateway.  The local engine takes a tenant's key in `api-key`
and `x-api-key` as well, and drops them once it has read it; on the kubernetes engine they are dropped unread."""

CALLER_HEADERS = ("forwarded", "via", "x-real-ip")
"""Headers that tell where a client is, by what stands before the gateway."""

UNCOUNTABLE = "accept-encoding"
"""The header by which a client takes compressed answers, of which no tokens could be counted."""

ADDED_BY_ENVOY = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
"""Headers by which Envoy itself would tell a host where the client is."""

ADDED_BY_ENVOY_ALONE = ("x-envoy-external-address", "x-envoy-internal")
"""More of them, taken away by the local engine alone: on the kubernetes engine a processor beside Envoy takes headers
away, and Envoy lets it touch none of its own."""
