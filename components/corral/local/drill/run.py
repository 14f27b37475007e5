"""Carries the script of a drill out on this machine, and writes down what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from corral.config.stack_file import with_shares
from corral.local.drill.record import Moved, Record, Refused, Result
from corral.local.drill.script import Break, Fail, Move, Script, Step, declared
from corral.local.drill.stack_copy import StackCopy, TcpProxy, TenantKeys, copy_stack, rehearsal
from corral.local.drill.steps import POLL_SECONDS, Rehearsal
from corral.local.errors import EngineError
from corral.local.session import Options, Session, serving
from corral.plan.checks.run import CheckedStack
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl

_IN_FORCE_SECONDS = 30.0
"""How long an edit has to come into force, or to be refused: long on an idle machine, short on a crowded one."""


class Drill(Rehearsal):
    """One drill on a stack that is being served."""

    def __init__(
        self,
        session: Session,
        copy: StackCopy,
        proxies: Mapping[str, TcpProxy],
        record: Record,
        keys: TenantKeys,
        clock: Callable[[], float],
    ) -> None:
        if session.control is None:
            raise EngineError(f"Stack {record.plan.stack} has no host that a request can reach.")
        hosts = [host.name for host in session.desired.simulated]
        super().__init__(record, session.url, keys, SimulatedControl(*session.control), hosts, clock)
        self._session = session
        self._copy = copy
        self._proxies = proxies
        self._moved = asyncio.Event()
        self._text = copy.file.read_text(encoding="utf-8-sig")

    async def run(self) -> None:
        """Carries out every step; cancelled, it ends with what has happened so far.  Raises EngineError."""
        following = self._session.follow(lambda _before, _after: self._moved.set())
        await self.run_all(asyncio.create_task(following))

    async def _move(self, step: Move) -> Moved:
        self._text = with_shares(self._text, step.shares)
        self._moved.clear()
        self._copy.save(self._text)
        saved = self._clock()
        in_force = None
        try:
            async with asyncio.timeout(_IN_FORCE_SECONDS):
                await self._moved.wait()
            in_force = self._clock()
        except TimeoutError:
            pass
        await asyncio.sleep(step.seconds)
        return Moved(saved, in_force)

    async def _step(self, step: Step) -> Result:
        return await self._break(step) if isinstance(step, Break) else await super()._step(step)

    async def _break(self, step: Break) -> Refused:
        """Saves a file that must be refused."""
        before, notices = self._session.desired.plan, len(self.record.notices)
        self._copy.save(_broken(self._text, step, self.record.plan))
        deadline = self._clock() + _IN_FORCE_SECONDS
        while len(self.record.notices) == notices:
            if self._clock() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        message = next((text for _, text in self.record.notices[notices:]), None)
        await asyncio.sleep(step.seconds)
        unchanged = self._session.desired.plan == before
        self._copy.save(self._text)
        deadline = self._clock() + _IN_FORCE_SECONDS
        while self._session.last_reload.problem:
            if self._clock() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        return Refused(step.title, message, unchanged)

    async def _break_down(self, host: str, step: Fail) -> None:
        await super()._break_down(host, step)
        if step.how == "refused":
            self._proxies[host].refuse()

    async def _mend(self, host: str) -> None:
        if host in self._proxies:
            await self._proxies[host].listen()
        await super()._mend(host)

    async def _ejected(self) -> list[tuple[str, str]]:
        return [
            (model.model, host.host) for model in await self._session.status() for host in model.hosts if host.ejected
        ]


def _broken(text: str, step: Break, plan: Plan) -> str:
    if step.how == "unreadable":
        return text[: len(text) // 2] + "\n  - {not: [YAML\n"
    (model, shares), *_ = declared(plan).items()
    host, share = max(shares.items(), key=lambda item: item[1])
    return with_shares(text, {model: {**shares, host: share - 1}})


@asynccontextmanager
async def drilling(file: Path, load: Callable[[Path], CheckedStack], steps: Script) -> AsyncGenerator[Drill]:
    """A drill on a copy of the stack file, ready to run; its record can be read at any time.  `steps` fit its plan.

    `load` reads, plans and checks a file.  Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        plan = load(file).plan
        refusing = {host for step in steps if isinstance(step, Fail) and step.how == "refused" for host in step.hosts}
        proxies = {host: TcpProxy() for host in refusing}
        for proxy in proxies.values():
            await proxy.listen()
            ending.push_async_callback(proxy.close)
        keys = TenantKeys()
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="corral-drill-", ignore_cleanup_errors=True)))
        copy = copy_stack(file, folder, load, keys)
        start = time.monotonic()
        record = Record(plan, rehearsal(plan, keys), steps)

        def clock() -> float:
            return time.monotonic() - start

        def notify(text: str) -> None:
            record.notices.append((clock(), text.replace(str(copy.file), file.name)))

        options = Options("always", proxy_ports={host: proxy.port for host, proxy in proxies.items()})
        session = await ending.enter_async_context(serving(copy, options, notify))
        for host, proxy in proxies.items():
            proxy.target_port = session.host_port(host)
        yield Drill(session, copy, proxies, record, keys, clock)
