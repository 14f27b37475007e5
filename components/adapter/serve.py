"""The process of the adapter: serves a socket that its parent opened, and does what its parent says.

The parent writes a line of JSON (`hosts.HOSTS`) to standard input for each change, and gets a line back once these
hosts are served: `{"error": null}`, or why they are not.  Keys go that way, so that they are in no file, argument or
environment.  The end of standard input is the end of the parent, and of this.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys

import uvicorn
from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]
from pydantic import ValidationError

from components.adapter.app import Adapter
from components.adapter.hosts import HOSTS
from components.adapter.served import Served
from components.loopback.server import ProcessServer, settings

_LONGEST_LINE = 2**26
"""Bytes."""
_KEEP_ALIVE = 3600
"""Seconds an idle connection stays: Envoy closes it first, so that no close of ours crosses a request."""


def serve(listening: socket.socket, token: str) -> None:
    """Serves until SIGTERM or the end of standard input; cuts what is still open then."""
    served = Served()
    server = _Server(
        settings(Adapter(served, token), log_level="warning", timeout_keep_alive=_KEEP_ALIVE),
        served,
    )
    server.serve_until(listening, signal.SIGTERM)


class _Server(ProcessServer):
    """Listens to its parent."""

    def __init__(self, config: uvicorn.Config, served: Served) -> None:
        super().__init__(config)
        self._served = served
        self._listening: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes connections only once it has hosts: those that come before wait."""
        lines = asyncio.StreamReader(limit=_LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
        )
        await self._hear(lines)
        await super().startup(sockets)
        self._listening = asyncio.create_task(self._listen(lines))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._listening:
            self._listening.cancel()
        await super().shutdown(sockets)
        await self._served.close()

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        while not self.should_exit:
            await self._hear(lines)

    async def _hear(self, lines: asyncio.StreamReader) -> None:
        line = await lines.readline()
        if not line:
            self.should_exit = True
            return
        sys.stdout.write(json.dumps({"error": await self._replace(line)}) + "\n")
        sys.stdout.flush()

    async def _replace(self, line: bytes) -> str | None:
        """Why these hosts cannot be served; None: they are."""
        try:
            await self._served.replace(HOSTS.validate_json(line))
        except ValidationError as error:
            return f"the hosts are not described as they should be ({error.error_count()} errors)"
        except (BotoCoreError, OSError, ValueError) as error:
            return str(error)
        return None
