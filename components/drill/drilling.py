"""A drill made ready: the copy of a stack, its engine, and the record to fill in."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from components.drill.copy import TenantKeys, copied, rehearsed
from components.drill.door import Door
from components.drill.record import Record
from components.drill.run import Drill
from components.drill.script import Fail, Script
from components.embedded.desired import Loaded
from components.embedded.serving import serving
from components.embedded.session import Options


@asynccontextmanager
async def drilling(file: Path, load: Callable[[Path], Loaded], steps: Script) -> AsyncGenerator[Drill]:
    """A drill on a copy of the stack file, ready to run; its record can be read at any time.  `steps` fit its plan.

    `load` reads, plans and checks a file.  Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        plan = load(file).plan
        doors = {host: Door() for host in _refusing(steps)}
        for door in doors.values():
            await door.open()
            ending.push_async_callback(door.end)
        keys = TenantKeys()
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="corral-drill-", ignore_cleanup_errors=True)))
        copy = copied(file, folder, load, keys, doors)
        start = time.monotonic()
        record = Record(plan, rehearsed(plan, keys), steps)

        def clock() -> float:
            return time.monotonic() - start

        def say(told: str) -> None:
            record.said.append((clock(), told.replace(str(copy.file), file.name)))

        session = await ending.enter_async_context(serving(copy, Options("always"), say))
        yield Drill(session, copy, record, keys, clock)


def _refusing(steps: Script) -> set[str]:
    return {host for step in steps if isinstance(step, Fail) and step.how == "refused" for host in step.hosts}
