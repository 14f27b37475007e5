"""How planning, reloading and memory grow with the number of models and of hosts.

    python -m bench.growth [--only 1x2 1000x10]

Each stack is one file; every model is shared evenly by all hosts.  Planning is reading the file, making its plan and
checking it.  A reload is an edit of one model's shares while `corral serve` runs: from the moment the edited file is
written until Envoy has said that every part of the new configuration is in force.  Memory is that of an idle
gateway after the reloads; the process that follows the file and its Envoy apart.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from bench.machine import machine
from bench.process import PATIENCE, UnavailableError, run
from bench.stack import NAME, BenchStack, served, stack
from bench.table import table
from corral.catalog.load import load_catalog
from corral.cli.project import load_servable
from corral.local.state_folder import StateFolder

SIZES = ((1, 2), (10, 2), (100, 2), (1000, 2), (1, 10), (1, 50), (100, 10), (1000, 10), (1000, 50))
"""Models × hosts."""
TIMES = 5
AIM, AIMED_AT = 0.05, (1000, 10)
"""Seconds that a reload is to take at most."""
_NOWHERE = "http://127.0.0.1:9/v1"
"""No request is sent."""
_POLL_SECONDS = 0.5
"""Asking costs time that the edit would take, and the engine itself writes down when it came into force."""


@dataclass(frozen=True)
class Grown:
    """The measurements at one size; seconds and mebibytes."""

    models: int
    hosts: int
    plans: list[float]
    """Of the processor."""
    reloads: list[float]
    reload_cpu: float
    """Of the processor, for each edit, in the process that follows the file."""
    memory: float
    envoy_memory: float


def even_shares(hosts: Sequence[str], moved: int) -> dict[str, int]:
    """As even as whole numbers can be, with `moved` points from the second host to the first."""
    each, left = divmod(100, len(hosts))
    shares = {host: each + (place < left) for place, host in enumerate(hosts)}
    first, second = hosts[:2]
    return {**shares, first: shares[first] + moved, second: shares[second] - moved}


def sized(models: int, hosts: int, moved: int = 0) -> BenchStack:
    """A stack of this size; the first model's shares are moved."""
    names = [f"model-{number}" for number in range(models)]
    at = [f"host-{number}" for number in range(hosts)]
    shares = {name: even_shares(at, 0 if place else moved) for place, name in enumerate(names)}
    return stack(names, dict.fromkeys(at, _NOWHERE), shares)


def seconds_to_plan(file: Path) -> float:
    """The processor's time of reading a stack file, making its plan and checking it."""
    load_catalog()
    began = time.process_time()
    load_servable(file)
    return time.process_time() - began


async def seconds_to_reload(edited: BenchStack, project: Path) -> float:
    """From the edited file until the time that the engine gives for its coming into force."""
    before, began = StateFolder.of(project, NAME).running(), time.time()
    edited.save(project)
    while (now := StateFolder.of(project, NAME).running()) is None or before is None or now.since == before.since:
        if time.time() > began + PATIENCE:
            raise UnavailableError("an edit did not come into force")
        await asyncio.sleep(_POLL_SECONDS)
    return datetime.fromisoformat(now.since).timestamp() - began


def memory(process: psutil.Process) -> tuple[float, float]:
    """Mebibytes of a process and of the Envoy it has started."""
    envoy = (child for child in process.children(recursive=True) if "envoy" in child.name())
    return process.memory_info().rss / 2**20, sum(each.memory_info().rss for each in envoy) / 2**20


async def measure(models: int, hosts: int) -> Grown:
    """Measures one size."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as folder:
        project = Path(folder)
        at_rest, moved = sized(models, hosts), sized(models, hosts, moved=1)
        file = at_rest.save(project)
        plans = [seconds_to_plan(file) for _ in range(TIMES)]
        async with served(at_rest, project) as (_, process):
            edits = [at_rest if number % 2 else moved for number in range(TIMES)]
            before = _cpu_seconds(process)
            reloads = [await seconds_to_reload(edited, project) for edited in edits]
            cpu = (_cpu_seconds(process) - before) / TIMES
            return Grown(models, hosts, plans, reloads, cpu, *memory(process))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def shown(measured: Sequence[Grown]) -> str:
    """A row for each size."""
    columns = ("models × hosts", "plan CPU ms", "reload ms", "longest ms", "reload CPU ms", "corral MiB", "Envoy MiB")
    return table(columns, [(f"{each.models:,} × {each.hosts}", *_numbers(each)) for each in measured])


def _numbers(each: Grown) -> list[str]:
    seconds = (statistics.median(each.plans), statistics.median(each.reloads), max(each.reloads), each.reload_cpu)
    return [f"{number:,.0f}" for number in (*(1000 * took for took in seconds), each.memory, each.envoy_memory)]


def _size(text: str) -> tuple[int, int]:
    models, _, hosts = text.partition("x")
    if not (models.isdigit() and hosts.isdigit() and int(models) > 0 and 1 < int(hosts) <= 50):
        raise argparse.ArgumentTypeError(f"{text} is no size: MODELSxHOSTS, with 2 to 50 hosts")
    return int(models), int(hosts)


async def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description="How planning, reloading and memory grow."
    )
    parser.add_argument("--only", nargs="+", type=_size, default=SIZES, metavar="MODELSxHOSTS", help="these sizes")
    sizes = parser.parse_args().only
    print(machine())
    measured = [await measure(models, hosts) for models, hosts in sizes]
    print(shown(measured))
    for each in measured:
        if (each.models, each.hosts) == AIMED_AT:
            took = statistics.median(each.reloads)
            print(f"{took:.3f} s until a share is in force at {each.models:,} × {each.hosts} (aim: {AIM:g} s)")


if __name__ == "__main__":
    run(main())
