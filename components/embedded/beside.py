"""What a running engine has served beside Envoy: the simulated hosts, and the hosts behind the adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from components.embedded.adapter import Adapter
from components.embedded.desired import Desired
from components.embedded.stand_ins import StandIns
from components.render.envoy.link import Link


class Beside:
    """Both, changed together.

    What was begun is finished, and in order, also where nobody waits for it any more: what is served there would not be
    known otherwise.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._stand_ins = StandIns(say)
        self._adapter = Adapter(say)
        self._changing: asyncio.Task[None] | None = None
        """The last change."""

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        return self._stand_ins.control

    def reached(self, desired: Desired) -> tuple[dict[str, Link], dict[str, str]]:
        """How Envoy reaches each host, and per link the whole value of the header that carries its key."""
        links = desired.links(self._stand_ins.port, self._adapter.address)
        return links, desired.secrets(links, self._adapter.address)

    async def serve(self, desired: Desired, *, keep_former: bool) -> None:
        """Has both ready for it; with `keep_former` also for requests that are on their way.  Raises EngineError."""
        self._changing = asyncio.create_task(self._change(desired, self._changing, keep_former=keep_former))
        await asyncio.shield(self._changing)

    async def settled(self) -> None:
        """Waits until no change is under way."""
        if self._changing:
            await asyncio.gather(self._changing, return_exceptions=True)

    async def stop(self) -> None:
        """Ends both."""
        try:
            await self._adapter.stop()
        finally:
            await self._stand_ins.stop()

    async def _change(self, desired: Desired, before: asyncio.Task[None] | None, *, keep_former: bool) -> None:
        if before:
            await asyncio.gather(before, return_exceptions=True)
        await self._stand_ins.serve(desired.simulated, keep_former=keep_former)
        await self._adapter.serve(desired.adapted(self._stand_ins.port), keep_former=keep_former)
