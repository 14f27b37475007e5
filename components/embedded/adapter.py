"""The adapter of a running engine: one child process, kept alive, changed while it runs.

Its socket is opened here and inherited, so that it is the same through any number of deaths: requests that come in
between wait until the process is there again, and nobody else can take the port.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components.adapter.hosts import HOSTS, TOKEN_VARIABLE, AdaptedHost
from components.embedded.adapted import with_former
from components.embedded.errors import EngineError
from components.embedded.process import Child

_LOOPBACK = "127.0.0.1"
_PATIENCE = 30.0
"""Seconds until it must have taken its hosts: of which it reads boto3's files, and AWS's."""
_LONGEST_PAUSE = 5.0
"""Seconds between two starts in a row; the first comes at once."""


@dataclass(frozen=True)
class Address:
    """Where the adapter is, and what it wants to be shown."""

    port: int
    token: str = field(repr=False)

    def url(self, host: str) -> str:
        """The base URL of a host behind it."""
        return f"http://{_LOOPBACK}:{self.port}/{host}/v1"


class Adapter:
    """The process; started when a plan first needs one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._socket = socket.create_server((_LOOPBACK, 0), backlog=2048)
        self.address = Address(self._socket.getsockname()[1], secrets.token_urlsafe(32))
        self._child: Child | None = None
        self._hosts: dict[str, AdaptedHost] = {}
        self._life: asyncio.Task[None] | None = None

    async def serve(self, hosts: Sequence[AdaptedHost], *, keep_former: bool) -> None:
        """Serves these hosts; with `keep_former` also those served so far, for requests that are on their way.

        Raises EngineError.
        """
        new = with_former(self._hosts if keep_former else {}, hosts)
        if new == self._hosts:
            return
        if self._child is None:
            self._child = await self._start(new)
            self._life = asyncio.create_task(self._keep_alive())
        else:
            await _tell(self._child, new)
        self._hosts = new

    async def stop(self) -> None:
        """Ends it."""
        if self._life:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if self._child:
            await self._child.stop()
        self._socket.close()

    async def _start(self, hosts: dict[str, AdaptedHost]) -> Child:
        number = self._socket.fileno()
        child = await Child.start(
            "The adapter",
            (sys.executable, "-m", "components.adapter", "--fd", str(number)),
            {**os.environ, TOKEN_VARIABLE: self.address.token},
            inherited=(number,),
            answers=True,
        )
        try:
            await _tell(child, hosts)
        except BaseException:
            await child.stop()
            raise
        return child

    async def _keep_alive(self) -> None:
        pause = 0.0
        while self._child:
            await self._child.ended()
            self._say("The adapter died; it is started again.")
            await asyncio.sleep(pause)
            try:
                self._child = await self._start(self._hosts)
                pause = 0.0
            except EngineError as reason:
                self._say(str(reason))
                pause = min(_LONGEST_PAUSE, 2 * pause or 0.2)


async def _tell(child: Child, hosts: dict[str, AdaptedHost]) -> None:
    """Has the process serve these hosts.  Raises EngineError."""
    try:
        async with asyncio.timeout(_PATIENCE):
            answer = await child.ask(HOSTS.dump_json(tuple(hosts.values())))
    except TimeoutError:
        raise EngineError(f"The adapter does not answer within {_PATIENCE:.0f} s.") from None
    error = json.loads(answer)["error"]
    if error is not None:
        raise EngineError(f"The adapter cannot serve {', '.join(hosts)}: {error}.")
