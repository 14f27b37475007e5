"""Envoy's admin interface, a Unix socket that only this user can open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from corral.local.envoy import statistics
from corral.local.errors import EngineError

_PATIENCE = 30.0
_PAUSES = 0.002, 0.02
"""Seconds: a configuration is often in force at once, and else in no time that counts."""
_WARMING = ("cluster_manager.warming_clusters", "listener_manager.total_listeners_warming")
_IN_FORCE = rf"(\.version_text|{'|'.join(map(re.escape, _WARMING))})$"


class Admin:
    """A client of one Envoy's admin interface."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=_PATIENCE
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ready(self) -> bool:
        """Whether Envoy has all its configuration and takes requests."""
        try:
            return (await self._client.get("/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def stats(self, pattern: str) -> list[dict[str, Any]]:
        """Envoy's own statistics whose names match.  Raises EngineError when Envoy does not answer."""
        return (await self._get("/stats", {"format": "json", "filter": pattern}))["stats"]

    async def counted(self, *, times: bool) -> list[dict[str, Any]]:
        """What the module has counted, each with `name` and `value`; `times` come as one entry `histograms`.

        Raises EngineError when Envoy does not answer.
        """
        return (await self._get(statistics.PATH, {"times": ""} if times else {}))["stats"]

    async def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            return (await self._client.get(path, params=parameters)).raise_for_status().json()
        except httpx.HTTPError as reason:
            raise EngineError(f"Envoy's admin interface does not answer: {reason!r}.") from None

    async def gauges(self, pattern: str) -> dict[str, int]:
        """Counters and gauges by name."""
        return {entry["name"]: entry["value"] for entry in await self.stats(pattern) if "name" in entry}

    async def in_force(self, wanted: Mapping[str, str]) -> None:
        """Waits until every version wanted is in force and nothing is warming up any more."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        pause, longest = _PAUSES
        while True:
            values = {entry["name"]: entry["value"] for entry in await self.stats(_IN_FORCE) if "name" in entry}
            late = [name for name, version in wanted.items() if str(values.get(name)).strip('"') != version]
            if not late and not any(values.get(name) for name in _WARMING):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise EngineError(
                    f"Envoy has not taken the new configuration within {_PATIENCE:.0f} s: {', '.join(late)}."
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def drain(self) -> None:
        """Asks Envoy to take no new connections and to close idle ones."""
        try:
            await self._client.post("/drain_listeners", params={"graceful": "", "skip_exit": ""})
        except httpx.HTTPError:
            return
