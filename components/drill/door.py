"""A door in front of a host: TCP connections pass through it until it is shut; then new ones are refused.

A simulated host shares its port with the others, so it alone cannot refuse connections.  Connections that are open when
the door is shut stay open, so that what is under way is finished.
"""

from __future__ import annotations

import asyncio

from components.loopback.listening import LOOPBACK

_CHUNK = 2**16


class Door:
    """A loopback port of its own, behind which is another one."""

    def __init__(self) -> None:
        self.port = 0
        """Once it was opened."""
        self.behind = 0
        """The port that connections are passed on to."""
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Takes connections, at the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._enter, LOOPBACK, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuses new connections."""
        if self._server:
            self._server.close()
            self._server = None

    async def end(self) -> None:
        """Refuses new connections and cuts those that are open."""
        self.shut()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side ends."""
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self.behind)
        except OSError:
            writer.close()
            return
        pumps = {asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_CHUNK):
        sink.write(piece)
        await sink.drain()
