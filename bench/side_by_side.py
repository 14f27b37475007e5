"""The local gateway beside others: the same hosts, shares and load, in turn.

    python -m bench.side_by_side [--only bare corral] [--rounds 5]

Every gateway runs from the first to the last round; the load is on one at a time.  A round asks each for whole answers,
then for streamed ones.  A number is the median of the rounds, a ratio the median of the ratios within each round, so
that a machine that slows down for a while does not favour whoever came before.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateways import GATEWAYS
from bench.gateways.gateway import Gateway
from bench.hosts import Hosts, answering
from bench.load import Result, load, milliseconds
from bench.machine import machine
from bench.process import UnavailableError, cpu_seconds, mebibytes, run
from bench.table import table
from corral.local.errors import EngineError

SHARES = {"north": 60, "south": 40}
CONNECTIONS = 16
ROUNDS, SECONDS, WARM_UP = 5, 4.0, 2.0
AIMS = {"bare": 0.7, "litellm": 40, "portkey": 8}
"""How many times the requests a second of each the local gateway is to serve, at least."""


@dataclass
class Measured:
    """The measurements of one gateway in all rounds."""

    gateway: Gateway
    whole: list[Result] = field(default_factory=list[Result])
    streamed: list[Result] = field(default_factory=list[Result])
    requests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SHARES, 0))
    """Per host."""
    computed: float = 0
    """Seconds of CPU for the whole answers."""
    computed_streamed: float = 0
    """Seconds of CPU for the streamed ones."""
    memory: float | None = None
    """Mebibytes, after the load."""

    async def one_round(self, hosts: Hosts, seconds: float) -> None:
        """Adds a round."""
        before = hosts.requests()
        port, headers = self.gateway.port, self.gateway.headers
        computed = self._computed()
        self.whole.append(await load(port, headers, seconds, CONNECTIONS))
        between = self._computed()
        self.computed += between - computed
        self.streamed.append(await load(port, headers, seconds, CONNECTIONS, streamed=True))
        self.computed_streamed += self._computed() - between
        after = hosts.requests()
        for host in SHARES:
            self.requests[host] += after[host] - before[host]
        self.memory = mebibytes(self.gateway.process) if self.gateway.process else None

    @property
    def cpu(self) -> float:
        """Microseconds of CPU for a whole answer; 0: there is no process."""
        return 1e6 * self.computed / max(1, sum(len(result.latencies) for result in self.whole))

    @property
    def cpu_streamed(self) -> float:
        """Of a streamed answer."""
        return 1e6 * self.computed_streamed / max(1, sum(len(result.latencies) for result in self.streamed))

    def _computed(self) -> float:
        return cpu_seconds(self.gateway.process) if self.gateway.process else 0


async def measure(names: Sequence[str], rounds: int, seconds: float) -> dict[str, Measured]:
    """Rounds of load on all gateways that can be had, in turn."""
    measured: dict[str, Measured] = {}
    async with AsyncExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="corral-bench-")))
        hosts = await ending.enter_async_context(answering(SHARES, folder))
        for name in names:
            try:
                gateway = await ending.enter_async_context(GATEWAYS[name](hosts, SHARES, folder))
            except (UnavailableError, EngineError) as reason:
                print(f"{name} is left out: {reason}")
                continue
            measured[name] = Measured(gateway)
            await load(gateway.port, gateway.headers, WARM_UP, CONNECTIONS)
        for number in range(rounds):
            for each in measured.values():
                await each.one_round(hosts, seconds)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return measured


def ratio(measured: Measured, reference: Measured) -> float:
    """How many times the requests a second of another."""
    pairs = zip(measured.whole, reference.whole, strict=True)
    return statistics.median(one.rate / other.rate if other.rate else float("inf") for one, other in pairs)


def shown(measured: dict[str, Measured]) -> str:
    """A row for each gateway."""
    columns = (
        *("CPU µs", "of bare Envoy", "streamed CPU µs", "of bare Envoy"),
        *("requests/s", "of bare Envoy", "p50 ms", "p99 ms", "first byte ms", "its p99 ms"),
        *("MiB", "failed", "north"),
    )
    reference = measured.get("bare")
    return table(("", *columns), [(each.gateway.version, *_numbers(each, reference)) for each in measured.values()])


def _numbers(each: Measured, reference: Measured | None) -> list[str]:
    latencies = [result.latencies for result in each.whole]
    first_bytes = [result.first_bytes for result in each.streamed]
    return [
        *_processor(each.cpu, reference and reference.cpu),
        *_processor(each.cpu_streamed, reference and reference.cpu_streamed),
        f"{statistics.median(result.rate for result in each.whole):,.0f}",
        f"{ratio(each, reference):.3f}" if reference else "",
        *(
            f"{statistics.median(milliseconds(seconds, share) for seconds in rounds):.2f}"
            for rounds in (latencies, first_bytes)
            for share in (0.5, 0.99)
        ),
        f"{each.memory:,.0f}" if each.memory else "",
        str(sum(result.failures for result in (*each.whole, *each.streamed))),
        f"{100 * each.requests['north'] / max(1, sum(each.requests.values())):.1f} %",
    ]


def _processor(cpu: float, of: float | None) -> tuple[str, str]:
    return (f"{cpu:,.0f}" if cpu else "", f"{cpu / of:.2f}" if cpu and of else "")


def aims(measured: dict[str, Measured]) -> str:
    """The results of the local gateway, and its aims."""
    return "\n".join(
        f"{ratio(measured['corral'], measured[name]):.2f} × the requests/s of {measured[name].gateway.version} "
        f"(aim: {aim:g} or more)"
        for name, aim in AIMS.items()
        if {"corral", name} <= measured.keys()
    )


async def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.side_by_side", description="The local gateway beside others."
    )
    parser.add_argument("--only", nargs="+", choices=GATEWAYS, default=list(GATEWAYS), help="these gateways")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load; two a round for each gateway")
    options = parser.parse_args()
    print(machine())
    measured = await measure(options.only, options.rounds, options.seconds)
    print(shown(measured), aims(measured), sep="\n\n")


if __name__ == "__main__":
    run(main())
