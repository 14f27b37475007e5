"""Child processes: started, waited for until they serve, kept alive, ended in order.

Policy.  A child has a session of its own, so that Ctrl-C reaches Corral alone, which ends its children in order.  None
outlives Corral: on Linux the kernel sends it SIGTERM when this process ends, however it ends (the thread that started
it, to be exact: the event loop's), and programs of our own end with their standard input too.  What a child writes to
standard error is kept, the end of it, for the message when it dies.

One that dies is started again at once, and after a pause that doubles while it dies on.  Without an essential one
nothing can be served: five deaths within a minute are borne, and then the supervisor gives up.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corral.local.errors import EngineError

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""
_KEPT_BYTES = 2**14
_START_SECONDS = 30.0
"""How long a child may take until it serves, and to answer a line."""
_STOP_SECONDS = 5.0
"""How long it may take to end before it is killed."""
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_BORNE_DEATHS, _WINDOW_SECONDS = 5, 60.0


def _dies_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def request() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return request


class Child:
    """One child process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._stderr = b""
        self._asking = asyncio.Lock()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr.decode(errors="replace").rstrip()

    async def ask(self, line: bytes) -> bytes:
        """Writes a line to its standard input; the line it answers on standard output.  Raises EngineError."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                async with self._asking:
                    if answer := await self._answer(line):
                        return answer
                await self.ended()
        except TimeoutError:
            raise EngineError(f"{self.name} does not answer within {_START_SECONDS:.0f} s.") from None
        raise EngineError(f"{self.name} does not answer. Its last words:\n{self.last_words}")

    async def _answer(self, line: bytes) -> bytes:
        if self._process.stdin is None or self._process.stdout is None:
            raise EngineError(f"{self.name} takes no lines.")
        try:
            self._process.stdin.write(line + b"\n")
            await self._process.stdin.drain()
            return await self._process.stdout.readline()
        except ConnectionError:
            return b""

    async def _read(self) -> None:
        while self._process.stderr and (more := await self._process.stderr.read(_KEPT_BYTES)):
            self._stderr = (self._stderr + more)[-_KEPT_BYTES:]

    async def ended(self) -> int:
        """Waits for its end; the exit status, negative for a signal."""
        status = await self._process.wait()
        await asyncio.shield(self._reading)
        return status

    async def stop(self) -> None:
        """Ends it: politely first."""
        if self.running:
            if self._process.stdin:
                self._process.stdin.close()
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.ended()
            except TimeoutError:
                self._process.kill()
        await self.ended()


@dataclass(frozen=True)
class Program:
    """What is run, and how it is known to serve."""

    name: str
    """As it begins a sentence."""
    command: Sequence[str | Path]
    ready: Callable[[Child], Awaitable[None]]
    """Returns once the child serves, after each start.  Raises EngineError."""
    death_notice: Callable[[str], str]
    """Reports its death, given the signal or the exit status."""
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    inherited: Sequence[int] = ()
    """The file descriptors it inherits."""
    answers: bool = False
    """Whether it answers lines, see `Child.ask`."""
    essential: bool = False


class Supervisor:
    """One program, kept alive from `start` until `stop`."""

    def __init__(self, program: Program, notify: Callable[[str], None]) -> None:
        self._program = program
        self._notify = notify
        self.child: Child | None = None
        """The present one; None before the first has started."""
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts it and waits until it serves.  Raises EngineError."""
        try:
            await self._launch()
        except BaseException:
            self.child = None
            raise
        self._keeping = asyncio.create_task(self._keep_alive())

    async def failed(self) -> None:
        """Ends, by raising EngineError, only when the program cannot be kept alive."""
        if self._keeping:
            await self._keeping

    async def release(self) -> None:
        """Starts it no more when it ends."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def stop(self) -> None:
        """Ends it for good."""
        await self.release()
        if self.child:
            await self.child.stop()

    async def _launch(self) -> None:
        program = self._program
        child = self.child = await self._spawn()
        serving, ended = asyncio.ensure_future(program.ready(child)), asyncio.create_task(child.ended())
        try:
            done, _ = await asyncio.wait({serving, ended}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if done == {serving}:
                return serving.result()
            await child.stop()
            problem = "ended while starting" if ended in done else f"is not ready after {_START_SECONDS:.0f} s"
            raise EngineError(f"{program.name} {problem}. Its last words:\n{child.last_words}")
        except BaseException:
            await child.stop()
            raise
        finally:
            for task in (serving, ended):
                task.cancel()
            await asyncio.gather(serving, ended, return_exceptions=True)

    async def _spawn(self) -> Child:
        program = self._program
        try:
            process = await asyncio.create_subprocess_exec(
                *map(str, program.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if program.answers else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=program.environment,
                start_new_session=True,
                preexec_fn=_dies_with_parent(),
                pass_fds=tuple(program.inherited),
            )
        except OSError as reason:
            raise EngineError(f"{program.name} cannot be started: {reason}.") from None
        return Child(program.name, process)

    async def _keep_alive(self) -> None:
        program, deaths = self._program, list[float]()
        clock = asyncio.get_running_loop().time
        while self.child:
            status = await self.child.ended()
            deaths = [at for at in deaths if clock() - at < _WINDOW_SECONDS] + [clock()]
            if program.essential and len(deaths) > _BORNE_DEATHS:
                raise EngineError(
                    f"{program.name} died {len(deaths)} times within {_WINDOW_SECONDS:.0f} s and is not started again. "
                    f"Its last words:\n{self.child.last_words}"
                )
            await asyncio.sleep(_pause_seconds(len(deaths)))
            cause = f"signal {-status}" if status < 0 else f"exit status {status}"
            self._notify(program.death_notice(cause))
            try:
                await self._launch()
            except EngineError as reason:
                self._notify(str(reason))
            else:
                if program.essential:
                    self._notify(f"{program.name} serves again.")


def _pause_seconds(deaths: int) -> float:
    """How long to wait after so many deaths in a row."""
    return 0 if deaths == 1 else min(_LONGEST_PAUSE_SECONDS, _SHORTEST_PAUSE_SECONDS * 2 ** (deaths - 2))
