"""Makes docs/cost.md, what a stack costs while nobody calls: `python -m docs.cost_reference`.

How many there are of a thing is what the program makes for the example stacks, recorded on mocks; what one costs, and
where that was read, is in docs/prices.yaml.  A test keeps the file up to date and every type of resource in that list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import typer
import yaml

from corral.catalog.load import load_catalog
from corral.config.hosts import Gpus, VllmHost
from corral.testing import World
from corral.testing.stacks import Version, read_version, run_program

FILE = Path(__file__).parent / "cost.md"
EXAMPLES = Path(__file__).parents[1] / "tests" / "stacks" / "examples"
PRICES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "prices.yaml").read_text(encoding="utf-8"))
_HOURS = PRICES["hoursOfAMonth"]

PAGE = """\
# What an idle stack costs

The example stacks as they are, with nobody asking for anything; {region}, on demand, a month of {hours} hours. What is
not known here is *unknown*: look it up before you rely on a sum. This page is made by `python -m docs.cost_reference`
from what the program makes for a stack and from the prices in `docs/prices.yaml`, and a test compares it with them.

## Production

{prod}

Most of what is known is the GPU node, so that is where to look first:

- **Fewer.** `gpus.min: 0` lets a model with a fallback sleep, and an empty node goes after an hour. It takes
  `corral:cluster.prometheus` and KEDA; without them one server stays.
- **None.** Without a vLLM host (staging) there are no GPU nodes.
- **Bound.** `gpus.max: {most}` is the most: {most} × {hourly} = ${bound} an hour, and Auto Mode's fee.
- **Cheaper.** `gpus.capacityType: spot`, or `{{reservation: …}}` for what is paid already. Spot's price is unknown.
- **Smaller network.** `network: {{zones: 2}}` has two NAT gateways. Another number of zones later moves subnets: say it
  before the first `pulumi up`.

AWS's bills tell the GPU nodes by the tag `corral-stack` ([the cluster](cluster.md#nodes-with-gpus)). Prices of traffic
are not here: a NAT gateway takes as much for a gigabyte as for an hour (zacfukuda.com, 2026-06-01; not AWS), so that
[a cache for images](registry.md#a-cache-in-your-own-account) and [weights in S3](hosts/vllm.md) keep large downloads
off it. The cache's endpoints cost {cache} an hour in three zones.

## Staging

{staging}

## Besides
Extended support of an old Kubernetes version costs $0.60 an hour instead of $0.10 (factualminds.com, 2026-06-13; not
AWS); stacks are set to standard support, where EKS upgrades a cluster at its end instead.

Azure's `GlobalProvisionedManaged`, a Bedrock guardrail and flow logs are not in the stacks. The first is paid for while
it is there, asked or not; a guardrail by what it looks at, flow logs by the gigabyte.

What `corral:cluster.addons` installs runs on the nodes of the gateway: by its chart KEDA asks for 0.3 vCPU
and 300 MiB, by theirs Prometheus and External Secrets for nothing. Each key in AWS Secrets Manager is read
once in `corral:secretStore.refresh`, and [AWS charges](https://aws.amazon.com/secrets-manager/pricing/) for both.

What tokens cost is in `corral plan --stack prod`, and what an edit changes about it in `corral diff --stack prod`. The
stack sets no budget. One of AWS Budgets counts what carries the tag, once whoever pays for the account has activated
it: the cluster and its nodes, and Bedrock's tokens only by `costTags`. Azure Cost Management takes one for the resource
group.
"""


@dataclass(frozen=True)
class Row:
    """A line of the table; `hourly` is for one of them, in dollars, and None where that is unknown."""

    what: str
    count: int
    hourly: Decimal | None
    source: str

    def __str__(self) -> str:
        if self.hourly is None:
            return f"| {self.what} | {self.count} | unknown | unknown | {self.source} |"
        each = f"{self.hourly.quantize(Decimal('0.0001')).normalize():f}"
        return f"| {self.what} | {self.count} | {each} | {self.monthly:,.2f} | {self.source} |"

    @property
    def monthly(self) -> Decimal:
        return self.count * (self.hourly or Decimal(0)) * _HOURS


def page() -> str:
    """The page, for the example stacks."""
    prod, staging = (read_version(EXAMPLES / f"Pulumi.{name}.yaml") for name in ("prod", "staging"))
    (gpus,) = _gpus(prod)
    hourly = _hourly(gpus.instance)
    endpoint = Decimal(str(PRICES["parts"]["aws:ec2/vpcEndpoint:VpcEndpoint"]["hourly"]))
    return PAGE.format(
        region=PRICES["region"],
        hours=_HOURS,
        prod=table(rows(prod, recorded("prod"))),
        staging=table(rows(staging, recorded("staging"))),
        most=gpus.max,
        hourly=hourly,
        bound=f"{gpus.max * hourly:.2f}",
        cache=f"2 × 3 × {endpoint} = ${2 * 3 * endpoint}",
    )


@cache
def recorded(stack: str) -> World:
    """What the program makes for an example."""
    return run_program(read_version(EXAMPLES / f"Pulumi.{stack}.yaml"))


def rows(version: Version, world: World) -> list[Row]:
    """The most expensive first, then what is unknown."""
    each = [*_nodes(version), *_parts(world)]
    return sorted(each, key=lambda row: (row.hourly is None, -row.monthly))


def _nodes(version: Version) -> Iterator[Row]:
    fee = PRICES["autoMode"]
    for gpus in _gpus(version):
        hourly, least = _hourly(gpus.instance), max(gpus.min, 0 if version.stack.cluster.prometheus else 1)
        (source,) = {
            f"{gpu.source}, {gpu.as_of}" for gpu in load_catalog().gpus.values() if gpus.instance in gpu.instances
        }
        yield Row(f"GPU node {gpus.instance} (`gpus.min: {gpus.min}`)", least, hourly, source)
        share = hourly * fee["percent"] / 100
        yield Row(f"Auto Mode's fee for that node, {fee['percent']} % of its price", least, share, fee["source"])


def _gpus(version: Version) -> list[Gpus]:
    hosts = (host for host in version.stack.hosts.values() if isinstance(host, VllmHost))
    return [host.gpus for host in hosts if host.gpus]


def _hourly(instance: str) -> Decimal:
    """In dollars, as the catalog has it."""
    (entry,) = [gpu.instances[instance] for gpu in load_catalog().gpus.values() if instance in gpu.instances]
    if entry.hourly is None:
        raise ValueError(f"{instance} is not sold on demand")
    return Decimal(entry.hourly) / 10**6


def _parts(world: World) -> Iterator[Row]:
    for type_, part in PRICES["parts"].items():
        there = world.of_type(type_)
        count = sum(len(each.inputs.get(part["per"]) or ()) if "per" in part else 1 for each in there)
        if not count:
            continue
        if "unknown" in part:
            yield Row(part["what"], 1 if part.get("once") else count, None, part["unknown"])
        else:
            hourly = Decimal(str(part["hourly"])) if "hourly" in part else Decimal(part["monthly"]) / _HOURS
            yield Row(part["what"], count, hourly, part["source"])


def table(each: list[Row]) -> str:
    sum_ = Row("**known, together**", 1, sum((row.count * (row.hourly or Decimal(0)) for row in each), Decimal(0)), "")
    last = f"| {sum_.what} | | **{sum_.hourly:.2f}** | **{sum_.monthly:,.2f}** | |"
    head = ["| what | how many | $ an hour, each | $ a month | source |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(str, each), last])


def main() -> None:
    FILE.write_text(page(), encoding="utf-8")
    typer.echo(f"wrote {FILE}")


if __name__ == "__main__":
    main()
