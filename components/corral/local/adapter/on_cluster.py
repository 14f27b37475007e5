"""The adapter of a cluster, which serves what a file says: `STATE_FILE`, an entry of a Secret that is mounted.

Another file is taken as soon as it stands there, so that a new key needs no new pod; one that cannot be taken leaves
what is served, and says so.  After SIGTERM what was begun is finished, for as long as the file says; nothing new is
taken, and the pod has been out of its Service for a while by then.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn
from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]
from pydantic import ValidationError

from corral.hosts.adapted.description import STATE_FILE, AdapterState
from corral.local.adapter.server import Adapter, Clients
from corral.simulated.loopback import KEEP_ALIVE_SECONDS, bind, end_well_on_signals, settings

_POLL_SECONDS: Final = 1.0
"""Between two looks at the file.  The kubelet brings another one within some ninety."""

_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 (a pod's)


class StateError(Exception):
    """The file cannot be taken; the message says why, and holds nothing of it."""


class FileServer(uvicorn.Server):
    """Serves the hosts of the file, on every address of the pod."""

    def __init__(self, folder: Path, port: int) -> None:
        """Raises StateError, OSError."""
        self._file = folder / STATE_FILE
        self._clients = Clients()
        self._text, state = _read(self._file)
        self._adapter = Adapter(self._clients, state.token, state.limits)
        self._listening = bind(port, _EVERY_ADDRESS)
        super().__init__(
            settings(
                self._adapter,
                log_level="warning",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=state.drain_timeout // 1_000,
            )
        )
        self._following: asyncio.Task[None] | None = None

    def serve_until_ended(self) -> None:
        """Until a signal, after which it ends with status 0."""
        end_well_on_signals()
        self.run(sockets=[self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._text = b""
        await self._take()
        await super().startup(sockets)
        self._following = asyncio.create_task(self._follow())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._following:
            self._following.cancel()
        await super().shutdown(sockets)
        await self._clients.close()

    async def _take(self) -> None:
        """Raises StateError."""
        text, state = _read(self._file)
        if text == self._text:
            return
        try:
            await self._clients.replace(state.hosts)
        except (BotoCoreError, OSError, ValueError) as error:
            raise StateError(f"its hosts cannot be served ({type(error).__name__})") from None
        self._text = text
        self._adapter.token, self._adapter.limits = state.token, state.limits

    async def _follow(self) -> None:
        complaint = ""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self._take()
                complaint = ""
            except StateError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    print(f"{self._file}: {complaint}; what was served stays", file=sys.stderr)  # noqa: T201


def _read(file: Path) -> tuple[bytes, AdapterState]:
    try:
        text = file.read_bytes()
        return text, AdapterState.model_validate_json(text)
    except OSError as error:
        raise StateError(f"it cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise StateError(f"it is not what it should be ({error.error_count()} errors)") from None
