"""Processes to be measured, with their children; all of them end with the measurement."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import uvloop

from corral.local.errors import EngineError

ROOT = Path(__file__).parents[1]
THIS_TREE = {"PYTHONPATH": str(ROOT)}
"""For a program of ours: what runs is what stands here, whatever is installed."""
PATIENCE = 180.0
"""Seconds until something must have started, on a busy machine too."""
_POLL = 0.05
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


class UnavailableError(Exception):
    """Something to be measured is not to be had on this machine; the message says why."""


def listens(port: int) -> bool:
    """Whether a connection can be made."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    ready: Callable[[], bool],
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncGenerator[psutil.Process]:
    """Starts it, waits until it is ready, and ends it after the block.  What it says goes to `<name>.log` in `folder`.

    Of this process's environment it gets what programs need to run, and no key.  Raises UnavailableError.
    """
    log = folder / f"{name}.log"
    environment = {variable: os.environ[variable] for variable in _KEPT if variable in os.environ} | dict(
        variables or {}
    )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _until(ready, process, name, log)
        yield psutil.Process(process.pid)
    finally:
        await _end(process)


async def _until(ready: Callable[[], bool], process: asyncio.subprocess.Process, name: str, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not ready():
        if process.returncode is not None:
            raise UnavailableError(f"{name} has ended; its last words: {_last_words(log)}")
        if asyncio.get_running_loop().time() > deadline:
            raise UnavailableError(f"{name} is not ready after {PATIENCE:.0f} s; its last words: {_last_words(log)}")
        await asyncio.sleep(_POLL)


def _last_words(log: Path) -> str:
    return "".join(log.read_text(errors="replace").strip().splitlines()[-1:]) or "none"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends it and what it has started: politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)


def run(measure: Coroutine[None, None, None]) -> None:
    """Runs a measurement as a program: whatever ends it, Ctrl-C and SIGTERM too, ends what it has started."""
    try:
        uvloop.run(_until_signalled(measure))
    except (UnavailableError, EngineError, OSError) as reason:
        sys.exit(str(reason))
    except asyncio.CancelledError:
        sys.exit("ended before it was done")


async def _until_signalled(measure: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(measure)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def mebibytes(process: psutil.Process) -> float:
    """The resident memory of a process and all its children."""
    return sum(each.memory_info().rss for each in _family(process)) / 2**20


def cpu_seconds(process: psutil.Process) -> float:
    """The processor time of a process and all its children so far."""
    return sum(sum(each.cpu_times()[:2]) for each in _family(process))


def _family(process: psutil.Process) -> tuple[psutil.Process, ...]:
    return (process, *process.children(recursive=True))
