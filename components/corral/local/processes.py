"""Child processes that never outlive Corral, and whose last words are kept."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from corral.local.errors import EngineError

_KEPT_BYTES = 2**14
_PR_SET_PDEATHSIG = 1


def _dies_with_parent() -> Callable[[], None] | None:
    """On Linux the kernel ends the child when this process ends, however it ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


class Child:
    """One child process.  Its standard error is kept, the end of it, for the message when it dies."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._said = b""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        *,
        inherited: Sequence[int] = (),
        answers: bool = False,
    ) -> Child:
        """Starts it in a session of its own, so that Ctrl-C reaches Corral alone, which ends it in order.

        It inherits these file descriptors; one that `answers` can be asked.  Raises EngineError.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if answers else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
                preexec_fn=_dies_with_parent(),
                pass_fds=tuple(inherited),
            )
        except OSError as reason:
            raise EngineError(f"{name} cannot be started: {reason}.") from None
        return cls(name, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._said.decode(errors="replace").rstrip()

    async def ask(self, line: bytes) -> bytes:
        """Writes a line to its standard input; the next line it writes to its standard output.  Raises EngineError."""
        if self._process.stdin is None or self._process.stdout is None:
            raise EngineError(f"{self.name} takes no questions.")
        try:
            self._process.stdin.write(line + b"\n")
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            raise EngineError(f"{self.name} does not answer. Its last words:\n{self.last_words}")
        return answer

    async def _read(self) -> None:
        while self._process.stderr and (more := await self._process.stderr.read(_KEPT_BYTES)):
            self._said = (self._said + more)[-_KEPT_BYTES:]

    async def ended(self) -> int:
        """Waits for its end; the exit status, negative for a signal."""
        status = await self._process.wait()
        await self._reading
        return status

    async def stop(self, patience: float = 5) -> None:
        """Ends it: politely first, after `patience` seconds for good."""
        if self.running:
            self._process.terminate()
            try:
                async with asyncio.timeout(patience):
                    await self.ended()
            except TimeoutError:
                self._process.kill()
        await self.ended()
