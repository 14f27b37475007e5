"""How long the program takes from its start to its plan, beside a bare program that imports the same providers.

    python -m bench.program [--rounds 15]

Each run is a process of its own, timed from its start until it says that it is there; the programs take turns, and a
ratio is the median of the ratios within each round.  All find their bytecode compiled, as any program does from its
second run on.  What a process computes until then hardly changes when the machine has other work.  The program makes
its plan before it loads its providers; what it takes with them is shown as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from bench.machine import machine

ROOT = Path(__file__).parents[1]
ROUNDS = 15
AIM = 1.5

BARE = "import pulumi, pulumi_aws, pulumi_azure_native, pulumi_kubernetes, pulumi_random"

TO_PLAN = """
from datetime import date
from pathlib import Path

from corral.config.read import read_stack
from corral.gateway.program import build, check, load_catalog, read_prices

catalog = load_catalog()
stack = read_stack(Path("tests/stacks/examples/Pulumi.prod.yaml"), catalog)
plan = build(stack, catalog, read_prices(Path("stacks")))
check(plan, date.today())
"""
"""The program's own imports, then what it does before it makes anything; the stack is read from its file, as no engine
is there to hand it over."""

LOADED = f"{TO_PLAN}\nimport corral.cluster.clusters, corral.gateway.component, corral.hosts.registry"

PROGRAMS = {"bare, providers loaded": BARE, "prod, plan made": TO_PLAN, "prod, providers loaded too": LOADED}


class Taken(NamedTuple):
    """The time of one run, from its start until it has done what it is to do."""

    seconds: float
    computing: float
    """Seconds of the processor."""


def run(program: str, environment: Mapping[str, str]) -> Taken:
    """One run."""
    command = (sys.executable, "-W", "ignore", "-c", f"{program}\nimport time\nprint(time.process_time(), flush=True)")
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.readline()
        took = time.perf_counter() - began
    if not output:
        raise SystemExit(f"a program to be measured ended with status {process.returncode}")
    return Taken(took, float(output))


def measure(rounds: int) -> list[list[Taken]]:
    """Per round what each program takes."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for program in PROGRAMS.values():
            run(program, environment)
        return [[run(program, environment) for program in PROGRAMS.values()] for _ in range(rounds)]


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.program", description="The program beside a bare one")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    taken = measure(rounds)
    shown = Table("program start", "ms", "× bare", "CPU ms", "× bare", box=box.MARKDOWN)
    for at, name in enumerate(PROGRAMS):
        shown.add_row(name, *_cells(taken, at, 0), *_cells(taken, at, 1))
    console = Console()
    console.print(f"{machine()}, median of {rounds}", soft_wrap=True)
    console.print(shown, f"The plan's aim: below {AIM:g} × a bare program", sep="\n\n")


def _cells(taken: list[list[Taken]], at: int, field: int) -> tuple[str, str]:
    """The milliseconds of one program, and how many times those of the bare one."""
    times = [1000 * of_round[at][field] for of_round in taken]
    ratios = [of_round[at][field] / of_round[0][field] for of_round in taken]
    return f"{statistics.median(times):.0f}", f"{statistics.median(ratios):.2f}"


if __name__ == "__main__":
    main()
