"""The hosts that the adapter serves at the moment.

Policy.  A host whose description did not change stays as it is, with its connections.  One that goes finishes what it
began, and is closed then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from components.adapter.converse.bedrock import Bedrock
from components.adapter.converse.threads import Threads
from components.adapter.host import Host
from components.adapter.hosts import AdaptedHost, BedrockHost
from components.adapter.predictions.replicate import Replicate


class Served:
    """Hosts by name."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._hosts: dict[str, Host] = {}
        self._busy: Counter[Host] = Counter()

    def find(self, name: str) -> Host | None:
        """The host of that name."""
        return self._hosts.get(name)

    @asynccontextmanager
    async def using(self, host: Host) -> AsyncGenerator[None]:
        """For the time of one request to it."""
        self._busy[host] += 1
        try:
            yield
        finally:
            self._busy[host] -= 1
            await self._close_if_done(host)

    async def replace(self, descriptions: Iterable[AdaptedHost]) -> None:
        """These, instead of the present ones.  Raises BotoCoreError or OSError; then the present ones stay."""
        former = self._hosts.values()
        self._hosts = {description.name: await self._host(description) for description in descriptions}
        for host in former:
            await self._close_if_done(host)

    async def close(self) -> None:
        """Ends them all."""
        await self.replace(())
        self._threads.close()

    async def _host(self, description: AdaptedHost) -> Host:
        present = self._hosts.get(description.name)
        if present is not None and present.description == description:
            return present
        if isinstance(description, BedrockHost):
            return await asyncio.to_thread(Bedrock, description, self._threads)
        return Replicate(description)

    async def _close_if_done(self, host: Host) -> None:
        if not self._busy[host]:
            del self._busy[host]
            if self._hosts.get(host.description.name) is not host:
                await host.close()
