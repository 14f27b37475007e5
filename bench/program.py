"""How long the program takes from its start to its plan, beside a bare program that imports the same providers.

    make bench

Both are processes of their own, in turn; what is compared is the median of their times, start of Python included.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 15

BARE = "import pulumi, pulumi_aws, pulumi_azure_native, pulumi_kubernetes, pulumi_random"

TO_PLAN = """
import runpy
from datetime import date
from pathlib import Path

program = runpy.run_path("stacks/__main__.py")

from components.checks.run import check
from components.config.read import read_stack
from components.plan.build import build

catalog = program["load_catalog"]()
check(build(read_stack(Path("stacks/Pulumi.prod.yaml"), catalog), catalog), date.today())
"""
"""The program's own imports, then what it does before it makes anything; the stack is read from its file, as no engine
is there to hand it over."""


def seconds(program: str) -> float:
    """Of one run."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measures, and prints a line."""
    for program in (BARE, TO_PLAN):
        seconds(program)
    times = [(seconds(BARE), seconds(TO_PLAN)) for _ in range(ROUNDS)]
    bare, to_plan = (statistics.median(each) for each in zip(*times, strict=True))
    print(
        f"the program has its plan of prod after {1000 * to_plan:.0f} ms; a bare program that imports the same "
        f"providers takes {1000 * bare:.0f} ms: {to_plan / bare:.2f} × (median of {ROUNDS})"
    )


if __name__ == "__main__":
    main()
