"""The Lua that Envoy runs.  Stock Envoy reads a request's body only as a whole JSON document that it writes anew, knows
a caller's key only in the plain, and counts no tokens; these scripts do these three things and nothing else.

    gateway   json, sha256, limits, admit, count    once for each request and its answer
    attempt   attempt                               once for each attempt at a host
"""

from __future__ import annotations

from pathlib import Path

from components.render.envoy.names import TYPE, Resource

_FOLDER = Path(__file__).with_name("lua")

FILTER = "envoy.filters.http.lua"

TYPE_URL = TYPE + "envoy.extensions.filters.http.lua.v3.Lua"


def source(*names: str) -> str:
    """Scripts, one after the other."""
    return "\n".join((_FOLDER / f"{name}.lua").read_text() for name in names)


def _lua(name: str, code: str) -> Resource:
    return {
        "@type": TYPE_URL,
        "stat_prefix": "corral",
        "default_source_code": {"inline_string": code},
        "shared_vm_id": name,
    }


def gateway() -> Resource:
    """The gateway's first filter."""
    return _lua("gateway", source("json", "sha256", "limits", "admit", "count"))


def attempt() -> Resource:
    """The last filter of an attempt."""
    return _lua("attempt", source("attempt"))


def context(said: Resource) -> Resource:
    """What the gateway's first filter knows, as the table of routes carries it: a change of it drains no listener."""
    return {FILTER: {"@type": TYPE + "envoy.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": said}}
