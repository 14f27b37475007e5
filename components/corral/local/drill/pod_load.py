"""The load of a drill on a cluster, in the pod: the program `python -m corral.local.drill.pod_load`.

The first line that it reads is its `Job`.  It carries the steps out and writes its record as it grows, one `Line` each
time.  At a move it writes that it has come there, and goes on when it reads a line: whether the move is in force.  The
end of what it reads is its end: nobody is there any more to read the record.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from corral.local.drill.record import Arrival, Moved, Record, Request, Result, Span
from corral.local.drill.script import Move, Script
from corral.local.drill.steps import POLL_SECONDS, Rehearsal
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl
from corral.simulated.hosts import TOKEN_VARIABLE


@dataclass(frozen=True)
class Job:
    """All that the load needs."""

    plan: Plan
    script: Script
    url: str
    """The gateway's, as a client's base URL."""
    control_url: str
    """That of the hosts' control endpoints; their token is in the environment."""
    keys: Mapping[str, str] = field(repr=False)
    """By tenant."""


@dataclass(frozen=True)
class Ended:
    """A step that has ended; which one, their order tells."""

    began: float
    ended: float
    result: Result


@dataclass(frozen=True)
class Line:
    """What the record has more than at the line before."""

    seconds: float
    under_way: int
    requests: tuple[Request, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    ended: tuple[Ended, ...] = ()
    at_move: bool = False
    """Whether it waits for a move."""


JOB, LINE = TypeAdapter(Job), TypeAdapter(Line)


class PodLoad(Rehearsal):
    """A drill whose moves are made elsewhere."""

    def __init__(
        self,
        job: Job,
        control: SimulatedControl,
        write: Callable[[Line], None],
        move: Callable[[], Awaitable[bool]],
        clock: Callable[[], float],
    ) -> None:
        """`move` waits for the end of a move, and says whether it is in force."""
        record = Record(job.plan, job.plan, job.script)
        super().__init__(record, job.url, job.keys, control, job.plan.hosts, clock)
        self._write_line, self._await_move = write, move
        self._written = (0, 0, 0)

    async def run(self) -> None:
        """Carries out every step, and writes the record while it grows and at its end."""
        try:
            await self.run_all(asyncio.create_task(self._report()))
        finally:
            self._write()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._write()

    def _write(self, *, at_move: bool = False) -> None:
        record, (requests, arrivals, spans) = self.record, self._written
        self._written = (len(record.requests), len(record.arrivals), len(record.spans))
        ended = tuple(Ended(span.began, span.ended, span.result) for span in record.spans[spans:])
        new = (tuple(record.requests[requests:]), tuple(record.arrivals[arrivals:]), ended)
        self._write_line(Line(record.seconds, record.under_way, *new, at_move=at_move))

    async def _move(self, step: Move) -> Moved:
        saved = self._clock()
        self._write(at_move=True)
        in_force = self._clock() if await self._await_move() else None
        await asyncio.sleep(step.seconds)
        return Moved(saved, in_force)


def grown(record: Record, line: Line) -> None:
    """Adds to a record what a line has."""
    steps = record.steps[len(record.spans) :]
    record.requests += line.requests
    record.arrivals += line.arrivals
    record.spans += [
        Span(step, ended.began, ended.ended, ended.result) for step, ended in zip(steps, line.ended, strict=False)
    ]
    record.seconds, record.under_way = line.seconds, line.under_way
    record.current = next(iter(record.steps[len(record.spans) :]), None)


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while line := await reader.readline():
        yield line


async def main() -> None:
    """Does the job that is read from standard input."""
    lines = aiter(_lines())
    job = JOB.validate_json(await anext(lines))
    start = time.monotonic()
    answers: asyncio.Queue[bool] = asyncio.Queue()

    def write(line: Line) -> None:
        sys.stdout.write(LINE.dump_json(line).decode() + "\n")
        sys.stdout.flush()

    control = SimulatedControl(job.control_url, os.environ[TOKEN_VARIABLE])
    load = PodLoad(job, control, write, answers.get, lambda: time.monotonic() - start)
    work = asyncio.create_task(load.run())

    async def read() -> None:
        async for line in lines:
            answers.put_nowait(line.strip() == b"true")

    reading = asyncio.create_task(read())
    await asyncio.wait({work, reading}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel() if reading.done() else reading.cancel()
    await asyncio.gather(work, reading, return_exceptions=True)
    if not work.cancelled():
        work.result()


if __name__ == "__main__":
    asyncio.run(main())
