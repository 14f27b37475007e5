"""The Lua that Envoy runs, for what its own filters do not do.  Stock Envoy reads a request's body only as a whole JSON
document that it writes anew, knows a caller's key only in the plain, and counts no tokens.

    gateway   start, told, json, sha256, limits, needs, throttled, admit, count    once for each request and its answer
    attempt   start, attempt                                                       once for each attempt at a host

Before a request is routed, `admit`

- finds `model`, `stream` and what else decides where a request goes among the members of the body without building the
  object (`json`), and refuses a body in which a host might find others;
- tells who calls: the tenant of a key, by its hash (`sha256`), or of the claims of a token that Envoy has verified;
- refuses, in the shape of OpenAI's errors, whom it does not know, a model that is not the tenant's, a body above the
  tenant's limit, and what is beyond the limits of requests and tokens a minute or of requests under way (`limits`,
  whose levels are gauges of Envoy's statistics, so that all workers share them);
- finds out, of a model whose hosts differ, which of them take what the request needs (`needs`), refuses what none does,
  and shortens the limit of an answer that none has room for;
- sets the headers by which Envoy routes: the model, with it the tenant's residency and the hosts to leave out, and the
  tenant;
- has a streamed answer say its usage where the client has not asked for that, and remembers what logs and `count` need.

While the answer passes, `count` reads its tokens, or counts the pieces of one that is cut off; draws them from the
tenant's limits; tells the client what is left of those; takes the event with the usage out of a stream whose client
has not asked for it; and notes when the first byte came.  A redirect becomes 502.

For each attempt, `attempt` writes the host's id of the model into the body, its path and its `Host` header.  It holds
an answer that is not streamed until it is whole, and notes how long a host takes no more, which `throttled` leaves out.

The files are put together in this order and share their local names.  The table they look callers and models up in
(`told`) comes with the routes: see `routes.context`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from corral.local.envoy.resource import Resource, typed

_FOLDER = Path(__file__).with_name("lua")

FILTER = "envoy.filters.http.lua"
LUA = "extensions.filters.http.lua.v3.Lua"

GATEWAY_SCRIPTS = ("start", "told", "json", "sha256", "limits", "needs", "throttled", "admit", "count")
ATTEMPT_SCRIPTS = ("start", "attempt")


@cache
def source(*names: str) -> str:
    """Scripts, one after the other."""
    return "\n".join((_FOLDER / f"{name}.lua").read_text() for name in names)


def _lua(*names: str) -> Resource:
    code = {"inline_string": source(*names)}
    return typed(LUA, {"stat_prefix": "corral", "default_source_code": code, "clear_route_cache": False})


def gateway() -> Resource:
    """The gateway's first filter.

    It keeps counters and gauges from one request to the next.  They belong to the filter, so that its scripts must not
    outlive it: its virtual machine is shared with no other.
    """
    return _lua(*GATEWAY_SCRIPTS)


def attempt() -> Resource:
    """The last upstream filter."""
    return {**_lua(*ATTEMPT_SCRIPTS), "shared_vm_id": "attempt"}


def per_route(context: Resource) -> Resource:
    """The table of the gateway's first filter, as the routes carry it: a change of it drains no listener."""
    return {FILTER: typed("extensions.filters.http.lua.v3.LuaPerRoute", {"filter_context": context})}
