"""How long a preview of `prod` takes where nothing has changed, beside the engine's own floor for the same resources.

    python -m bench.preview [--rounds 7]

A real engine works on a copy of the project, with the stand-ins of the engine tests for the providers: `pulumi up`
once, then previews, in turn with those of a program that registers the resources of that stack and does nothing else
(`bench/floor.py`).  The ratio is the median of the ratios within each round.  Skipped where there is no
engine and none can be built.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from tests.built_programs import UnavailableError
from tests.pulumi_engine.home import furnish
from tests.pulumi_engine.project import Project, nobody

STACK = "prod"
ROUNDS = 7
AIM = 2.0
FLOOR = Path(__file__).with_name("floor.py")


def up(folder: Path) -> tuple[Project, Project]:
    """The stack, up, and the floor on a copy of its state."""
    furnish(folder / "home")
    stack = Project.make(folder / STACK, STACK, folder / "home")
    stack.up()
    floor = stack.copy(folder / "floor")
    program = floor.file.parent
    (program / "resources.json").write_text(json.dumps(stack.resources()), encoding="utf-8")
    shutil.copy(FLOOR, program / "__main__.py")
    return stack, floor


def seconds(project: Project, resources: int) -> float:
    """The time of one preview, which must find that many resources and no change."""
    began = time.perf_counter()
    command = ("pulumi", "preview", "--stack", STACK, "--non-interactive", "--expect-no-changes")
    preview = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)
    took = time.perf_counter() - began
    if preview.returncode != 0 or f" {resources} unchanged" not in preview.stdout:
        raise SystemExit(f"the preview of {project.folder.name} went wrong:\n{preview.stdout}{preview.stderr}")
    return took


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.preview", description="A preview beside the floor")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as folder, nobody():
        try:
            stack, floor = up(Path(folder))
        except UnavailableError as why:
            print(f"skipped: what a preview of {STACK} takes, as {why}")
            return
        resources = len(stack.managed())
        for project in (floor, stack):
            seconds(project, resources)
        taken = [(seconds(floor, resources), seconds(stack, resources)) for _ in range(rounds)]
        version = subprocess.run(("pulumi", "version"), env=stack.environment, capture_output=True, text=True)
    engine = version.stdout.strip()
    ratio = statistics.median(of_stack / of_floor for of_floor, of_stack in taken)
    shown = Table(f"preview without a change, {resources} resources", "seconds", "× floor", box=box.MARKDOWN)
    for name, times, relative in zip(("floor", STACK), zip(*taken, strict=True), (1.0, ratio), strict=True):
        shown.add_row(name, f"{statistics.median(times):.2f}", f"{relative:.2f}")
    console = Console()
    console.print(f"{machine()}, Pulumi {engine}, median of {rounds}", soft_wrap=True)
    console.print(shown, f"{ratio:.2f} × the floor (aim: below {AIM:g})", sep="\n\n")


if __name__ == "__main__":
    main()
