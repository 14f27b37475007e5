"""Writing to the terminal: colours only where there is one, whole lines where there is none.

On Ctrl-C, SIGTERM or SIGHUP what runs is ended in order.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TextIO, cast

from rich.console import Console

_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error; into a pipe or a file it writes wide lines without colours."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


class _Lossy:
    """A stream on which what cannot be written (its disk is full, its reader is gone) is lost, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lossy_console() -> Console:
    """A console on standard output for what must go on although nobody can be told of it."""
    lossy = console()
    lossy.file = cast("TextIO", _Lossy(sys.stdout))
    return lossy


def complain(message: str) -> None:
    """Says on standard error what is wrong."""
    console(stderr=True).print(message, style="red", markup=False, soft_wrap=True)


async def until_signalled(running: Coroutine[None, None, None]) -> bool:
    """Runs to its end, or until a signal asks for the end and it has ended in order; whether one did."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled.set)
    work, waiting = asyncio.create_task(running), asyncio.create_task(signalled.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if signalled.is_set():
        work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return signalled.is_set()
