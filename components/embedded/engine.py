"""Envoy as a child process: started, kept alive, changed while it runs, ended in order."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.embedded import directory, machine
from components.embedded.admin import Admin
from components.embedded.errors import EngineError
from components.embedded.process import Child
from components.embedded.rollout import Rollout
from components.render.envoy.bootstrap import bootstrap
from components.render.envoy.configuration import Configuration
from components.render.envoy.names import Files

_START_PATIENCE = 30.0
_POLL = 0.02
_LOG_DELAY = 500
"""Milliseconds until a request stands in its log; Envoy's default is ten seconds, which its death would lose."""
_PAUSE = 0.2
"""Seconds before a second start in a row; more with each."""
_DEATHS, _WITHIN = 5, 60.0
"""So many deaths within so many seconds, and Envoy is not started again."""


def claim_port(address: str, port: int) -> int:
    """Checks that the address can be listened on; the port, a free one for 0.  Raises EngineError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            return probe.getsockname()[1]
        except OSError as reason:
            raise EngineError(
                f"{address}:{port} cannot be listened on: {reason.strerror}. Stop what uses it, or set another port "
                "(corral:engine.port, or --port)."
            ) from None


class Engine:
    """One Envoy and its files."""

    def __init__(self, envoy: Path, files: Files, say: Callable[[str], None]) -> None:
        self._envoy = envoy
        self._files = files
        self._say = say
        self.admin = Admin(files.admin_socket)
        self._rollout = Rollout(files, self.admin)
        self._child: Child | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def last_words(self) -> str:
        """What Envoy has said lately; it speaks of nothing but trouble."""
        return self._child.last_words if self._child else ""

    @property
    def life(self) -> int:
        """The process that is Envoy now: another one after each start."""
        return self._child.pid if self._child else 0

    async def start(self, first: Configuration, secrets: Mapping[str, str], drain_timeout: float) -> None:
        """Starts Envoy with a first configuration and waits until it serves; seconds.  Raises EngineError."""
        wanted = self._rollout.write_all(first, secrets)
        started_with = bootstrap(self._files, machine.open_files(), machine.memory())
        directory.replace(self._files.bootstrap, json.dumps(started_with))
        command = (
            *(self._envoy, "--config-path", self._files.bootstrap),
            *("--use-dynamic-base-id", "--disable-hot-restart"),
            *("--drain-time-s", str(int(drain_timeout))),
            *("--log-level", "warning", "--log-format", "%v"),
            *("--file-flush-interval-msec", str(_LOG_DELAY)),
        )
        await self._launch(command)
        await self.admin.in_force(wanted)
        self._life = asyncio.create_task(self._keep_alive(command))

    async def apply(self, new: Configuration, secrets: Mapping[str, str], drain_timeout: float) -> None:
        """Brings a new configuration into force; returns when new requests follow it.  Raises EngineError."""
        await self._rollout.apply(new, secrets, drain_timeout)

    async def drained(self) -> None:
        """Waits until nothing of a former plan is left."""
        await self._rollout.drained()

    async def failed(self) -> None:
        """Ends, by raising EngineError, only when Envoy cannot be kept alive."""
        if self._life:
            await self._life

    async def stop(self, grace: float) -> None:
        """Ends Envoy; requests that are under way get `grace` seconds to finish."""
        if self._life:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        await self._rollout.stop_draining()
        if self._child and self._child.running:
            await self._finish_requests(grace)
            await self._child.stop()
        await self.admin.close()

    async def _finish_requests(self, grace: float) -> None:
        await self.admin.drain()
        deadline = asyncio.get_running_loop().time() + grace
        while asyncio.get_running_loop().time() < deadline:
            try:
                active = await self.admin.gauges(r"^http\.gateway\.downstream_rq_active$")
            except EngineError:
                return
            if not any(active.values()):
                return
            await asyncio.sleep(_POLL)

    async def _launch(self, command: Sequence[str | Path]) -> None:
        self._files.admin_socket.unlink(missing_ok=True)
        child = self._child = await Child.start("Envoy", command)
        deadline = asyncio.get_running_loop().time() + _START_PATIENCE
        while not await self.admin.ready():
            if not child.running:
                await child.ended()
                raise EngineError(f"Envoy ended while starting. Its last words:\n{child.last_words}")
            if asyncio.get_running_loop().time() > deadline:
                await child.stop()
                words = child.last_words
                raise EngineError(f"Envoy is not ready after {_START_PATIENCE:.0f} s. Its last words:\n{words}")
            await asyncio.sleep(_POLL)

    async def _keep_alive(self, command: Sequence[str | Path]) -> None:
        deaths: list[float] = []
        clock = asyncio.get_running_loop().time
        while (child := self._child) is not None:
            status = await child.ended()
            deaths = [at for at in deaths if clock() - at < _WITHIN] + [clock()]
            if len(deaths) > _DEATHS:
                raise EngineError(
                    f"Envoy died {len(deaths)} times within {_WITHIN:.0f} s and is not started again. "
                    f"Its last words:\n{child.last_words}"
                )
            await asyncio.sleep(_PAUSE * (len(deaths) - 1))
            self._say(f"Envoy died ({_cause(status)}); it is started again with the same configuration.")
            try:
                await self._launch(command)
            except EngineError as reason:
                self._say(str(reason))
            else:
                self._say("Envoy serves again.")


def _cause(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
