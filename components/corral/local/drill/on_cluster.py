"""A drill on a cluster, seen from the command: what its pod is told, and the record that comes back from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe

from pydantic import ValidationError

from corral.local.drill.pod_load import JOB, LINE, Job, grown
from corral.local.drill.record import Record
from corral.local.drill.script import Move, Script, has_limits, moved
from corral.local.drill.stack_copy import TenantKeys, rehearsal
from corral.local.errors import EngineError
from corral.plan.callers import Rate
from corral.plan.plan import Plan, Target
from corral.simulated.hosts import SimulatedHost, simulated_hosts

_LINE_BYTES = 2**26
"""The longest line of a record."""


@dataclass(frozen=True)
class Preparation:
    """What a drill of a plan works with, good for one run."""

    record: Record
    hosts: tuple[SimulatedHost, ...]
    keys: Mapping[str, str] = field(repr=False)
    """By tenant."""


def prepare(plan: Plan, script: Script) -> Preparation:
    """`plan`: as the stack declares it.  Without limits nothing on the cluster counts, and the copy has none either."""
    plan = _called(plan)
    keys = TenantKeys()
    rehearsed = rehearsal(plan, keys)
    if not has_limits(plan):
        rehearsed = replace(rehearsed, tenants=tuple(replace(tenant, rate=Rate()) for tenant in rehearsed.tenants))
    tenants = tuple(replace(tenant, keys=()) for tenant in rehearsed.tenants)  # the gateway compares keys, not hashes
    record = Record(plan, replace(rehearsed, tenants=tenants), script)
    hosts = simulated_hosts(plan, plan.hosts, {host: token_urlsafe(24) for host in plan.hosts})
    return Preparation(record, hosts, {tenant.name: keys[tenant.name] for tenant in tenants})


def _called(plan: Plan) -> Plan:
    """The plan with hosts as the gateway meets them: it speaks OpenAI's protocol with the adapter, of which a drill has
    none."""

    def called(target: Target) -> Target:
        return replace(target, protocol="openai", adapted=False) if target.adapted else target

    models = (replace(model, targets=tuple(map(called, model.targets))) for model in plan.models)
    return replace(plan, models=tuple(models))


async def follow(record: Record, job: Job, command: Sequence[str], move: Callable[[Plan], Awaitable[None]]) -> None:
    """Runs the load by a command, and fills the record in.  Raises EngineError.

    `move` brings a plan into force; where it raises EngineError the move has failed, and the drill goes on.
    """
    start = time.monotonic()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=_LINE_BYTES, start_new_session=True
    )
    inbound, outbound, complaints = process.stdin, process.stdout, process.stderr
    if inbound is None or outbound is None or complaints is None:
        raise TypeError("what was asked for are pipes")
    complaint = asyncio.create_task(complaints.read())
    moving: asyncio.Task[None] | None = None

    async def carry_out(step: Move) -> None:
        in_force = True
        try:
            await move(moved(record.rehearsed, step.shares))
        except EngineError as error:
            record.notices.append((time.monotonic() - start, str(error)))
            in_force = False
        inbound.write(b"true\n" if in_force else b"false\n")

    try:
        inbound.write(JOB.dump_json(job) + b"\n")
        async for text in outbound:
            line = LINE.validate_json(text)
            grown(record, line)
            if line.at_move and isinstance(record.current, Move):
                moving = asyncio.create_task(carry_out(record.current))
        if await process.wait():
            raise EngineError(f"The load in the pod ended before the drill: {(await complaint).decode().strip()}")
    except ValidationError:
        raise EngineError(
            "The record of the pod cannot be read: its image is of another version of Corral. Build it from this one."
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        complaint.cancel()
        if moving:  # what changes the cluster is never left behind
            await asyncio.gather(moving, return_exceptions=True)
