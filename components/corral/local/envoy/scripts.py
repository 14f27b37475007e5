"""The Lua that Envoy runs.  Stock Envoy reads a request's body only as a whole JSON document that it writes anew, knows
a caller's key only in the plain, and counts no tokens; these scripts do these three things and nothing else.

    gateway   start, told, json, sha256, limits, admit, count    once for each request and its answer
    attempt   start, attempt                                     once for each attempt at a host
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from corral.local.envoy.names import TYPE, Resource

_FOLDER = Path(__file__).with_name("lua")

FILTER = "envoy.filters.http.lua"

TYPE_URL = TYPE + "envoy.extensions.filters.http.lua.v3.Lua"


GATEWAY_SCRIPTS = ("start", "told", "json", "sha256", "limits", "admit", "count")
ATTEMPT_SCRIPTS = ("start", "attempt")


@cache
def source(*names: str) -> str:
    """Scripts, one after the other."""
    return "\n".join((_FOLDER / f"{name}.lua").read_text() for name in names)


def _lua(*names: str) -> Resource:
    return {
        "@type": TYPE_URL,
        "stat_prefix": "corral",
        "default_source_code": {"inline_string": source(*names)},
        "clear_route_cache": False,
    }


def gateway() -> Resource:
    """The gateway's first filter.

    It keeps counters and gauges from one request to the next.  They belong to the filter, so that its scripts must not
    outlive it: its virtual machine is shared with no other.
    """
    return _lua(*GATEWAY_SCRIPTS)


def attempt() -> Resource:
    """The last filter of an attempt."""
    return {**_lua(*ATTEMPT_SCRIPTS), "shared_vm_id": "attempt"}


def context(said: Resource) -> Resource:
    """What the gateway's first filter knows, as the table of routes carries it: a change of it drains no listener."""
    return {FILTER: {"@type": TYPE + "envoy.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": said}}
