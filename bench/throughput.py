"""Requests per second through the gateway and through a bare Envoy with the same weights, interleaved; and how long a
move takes until it is in force, for one model and for a thousand.

    make bench
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench.hosts import answering, bare
from bench.load import Result, load
from components.catalog.load import load_catalog
from components.config.stack import Stack
from components.embedded import directory
from components.embedded.binary import find_envoy
from components.embedded.engine import Engine, claim_port
from components.plan.build import build
from components.plan.plan import Plan
from components.render.envoy.configuration import render
from components.render.envoy.link import Link

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 16
SHARES = {"groq": 60, "deepinfra": 40}
MOVES = 10


def plan(shares: dict[str, int], models: int = 1) -> Plan:
    """A plan of so many models on two hosts."""
    names = ["llama-3.3-70b", *(f"model-{number}" for number in range(1, models))]
    hosts = {host: {"kind": host, "models": {name: f"{host}/{name}" for name in names}} for host in shares}
    stack = {"name": "bench", "hosts": hosts, "models": {name: {"shares": shares} for name in names}}
    return build(Stack.model_validate(stack), load_catalog())


async def measure(folder: Path) -> dict[str, list[Result]]:
    """Rounds of load on both, in turn."""
    results: dict[str, list[Result]] = {"bare Envoy": [], "gateway": []}
    async with answering(list(SHARES), folder) as ports, bare(ports, SHARES, folder) as bare_port:
        files = directory.create("bench")
        engine = Engine(find_envoy(), files, print)
        gateway_port = claim_port("127.0.0.1", 0)
        links = {
            name: Link(name, f"http://127.0.0.1:{port}/openai/v1", "authorization", None)
            for name, port in ports.items()
        }
        try:
            configuration = render(plan(SHARES), links, "127.0.0.1", gateway_port, files)
            await engine.start(configuration, {link.name: "Bearer a-key" for link in links.values()}, 60)
            for port in (bare_port, gateway_port):
                await load(port, 1, CONNECTIONS)
            for _ in range(ROUNDS):
                results["bare Envoy"].append(await load(bare_port, SECONDS, CONNECTIONS))
                results["gateway"].append(await load(gateway_port, SECONDS, CONNECTIONS))
        finally:
            await engine.stop(0)
            directory.remove(files)
    return results


async def measure_moves(models: int) -> list[float]:
    """Seconds from a new plan until new requests follow it, for moves of one model among so many."""
    files = directory.create("bench")
    engine = Engine(find_envoy(), files, print)
    port = claim_port("127.0.0.1", 0)
    links = {name: Link(name, "http://127.0.0.1:9/v1", None, None) for name in SHARES}
    first = plan(SHARES, models)
    seconds: list[float] = []
    try:
        await engine.start(render(first, links, "127.0.0.1", port, files), {}, 60)
        for number in range(MOVES):
            shares = {"groq": 10 + number, "deepinfra": 90 - number}
            moved = replace(first, models=(plan(shares).models[0], *first.models[1:]))
            began = time.perf_counter()
            await engine.apply(render(moved, links, "127.0.0.1", port, files), {}, 60)
            seconds.append(time.perf_counter() - began)
    finally:
        await engine.stop(0)
        directory.remove(files)
    return seconds


def table(results: dict[str, list[Result]]) -> Table:
    """The median of the rounds."""
    shown = Table("", "requests/s", "p50 ms", "p99 ms", "failed", "to bare Envoy", box=None, header_style="bold")
    reference = statistics.median(result.rate for result in results["bare Envoy"])
    for name, rounds in results.items():
        rate = statistics.median(result.rate for result in rounds)
        shown.add_row(
            name,
            f"{rate:,.0f}",
            *(f"{statistics.median(result.quantile(share) for result in rounds):.2f}" for share in (0.5, 0.99)),
            str(sum(result.failures for result in rounds)),
            f"{rate / reference:.2f}",
        )
    return shown


async def main() -> None:
    """Measures, and prints tables."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        console.print(table(await measure(Path(folder))))
    console.print()
    for models in (1, 1000):
        seconds = await measure_moves(models)
        console.print(
            f"a move among {models} models is in force after {1000 * statistics.median(seconds):.0f} ms "
            f"(median of {MOVES}; most {1000 * max(seconds):.0f} ms)"
        )


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
