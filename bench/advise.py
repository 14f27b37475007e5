"""How long the advice for a large stack takes: 1,000 models on 50 hosts.

    python -m bench.advise [--models 1000] [--hosts 50] [--rounds 5]

The programme is made from the plan and solved by HiGHS, on this machine.  Reading the stack and the checks of the plan,
before and after, are not in it: `corral plan` does the same.  Two hosts are vLLMs, and hold their part with each other
host lost; ten have a limit over all models.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import replace

from bench.machine import machine
from corral.cli.advise import solver
from corral.plan.advice import rounded
from corral.plan.plan import Load, ModelPlan, Price
from corral.plan.programme import optimal, programme_of
from tests.plan.world import BEDROCK

AIM_SECONDS = 1.0


def models(count: int, hosts: int) -> list[ModelPlan]:
    """Each on all hosts, each of which takes from a tenth of its peak to more than half."""
    draw = random.Random(7)
    made: list[ModelPlan] = []
    for number in range(count):
        shares = [100 // hosts] * hosts
        shares[0] += 100 - sum(shares)
        targets = tuple(
            replace(
                BEDROCK,
                host=f"host-{at:02}",
                kind="vllm" if at % 25 == 0 else "openai",
                share=share,
                weight=share,
                region=None,
                reaches=None,
                price=Price(draw.randrange(50_000, 900_000), draw.randrange(50_000, 900_000), "bench"),
                limit=Load(tokens=draw.randrange(100_000, 600_000)),
                host_limit=Load(tokens=60_000 * count) if at % 5 == 1 else Load(),
            )
            for at, share in enumerate(shares)
        )
        peak, volume = Load(tokens=1_000_000), draw.randrange(10**8, 10**10)
        made.append(ModelPlan(f"model-{number:04}", targets, (), None, None, volume, peak))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the advice for a large stack takes.")
    parser.add_argument("--models", type=int, default=1_000)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    plan = models(options.models, options.hosts)
    solver(programme_of(plan[:1], "kubernetes"))  # the solver is loaded
    seconds: list[float] = []
    while True:
        begun = time.perf_counter()
        programme = programme_of(plan, "kubernetes")
        rows, optimum = optimal(programme, solver)
        assert optimum is not None
        shares = rounded(programme, rows, optimum)
        seconds.append(time.perf_counter() - begun)
        if len(seconds) >= options.rounds:
            break
    cost = [
        sum(each.cost * points for each, points in zip(programme.variables, optimum.shares, strict=True)),
        sum(each.cost * shares.get(each.model, {}).get(each.host, each.current) for each in programme.variables),
    ]
    print(machine())
    print(f"{options.models} models on {options.hosts} hosts: {len(rows)} bounds over several shares")
    print(f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}; aim {AIM_SECONDS:.1f})")
    print(f"{len(shares)} models moved, {100 * (cost[1] / cost[0] - 1):.3f}% above the least there is")


if __name__ == "__main__":
    main()
