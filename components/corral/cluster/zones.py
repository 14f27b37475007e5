"""The zones of a new cluster: how its addresses are divided among them, and which ones they are.

Policy.  Addresses are divided the same for ever, since a subnet cannot be resized.  Of the region's zones those are
taken in which as many of the stack's GPU instance types as can be are offered, then those in which they are offered
most often, then the first by name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations

from corral.config.hosts import VllmHost
from corral.config.stack import Stack

_BITS = 4
"""A VPC has sixteen blocks: a private subnet in each of the first, all public subnets in the last."""

WITHOUT_EKS = ("cac1-az3", "use1-az3", "usw1-az2")
"""Ids of zones in which EKS has no control plane; not verified against its network requirements."""

REGULAR = ("opt-in-status", "opt-in-not-required")
"""The filter of zones that every account has: no local zones."""


@dataclass(frozen=True)
class Zone:
    """The subnets in one availability zone."""

    private: str
    """For nodes and pods: 4,091 addresses in a /16."""
    public: str
    """For NAT, and for a load balancer on the internet where one is asked for."""


def zones(cidr: str, count: int) -> tuple[Zone, ...]:
    """The subnets of so many zones, six at most, in a VPC of a size from /16 to /20."""
    blocks = list(IPv4Network(cidr).subnets(_BITS))
    public = list(blocks[-1].subnets(_BITS))
    return tuple(Zone(str(blocks[zone]), str(public[zone])) for zone in range(count))


def gpu_instances(stack: Stack) -> tuple[str, ...]:
    """The instance types of the GPU nodes of its hosts, in order of name."""
    gpus = (host.gpus for host in stack.hosts.values() if isinstance(host, VllmHost))
    return tuple(sorted({instance for each in gpus if each for instance in each.instances}))


def shortage(region: str, names: Collection[str], count: int) -> str | None:
    """Why so many zones cannot be taken of those that the region has, and the way out; None: they can."""
    if len(names) >= count:
        return None
    return f"{region} has {len(names)} zones for a cluster, not {count}: lower corral:cluster.network.zones"


def places(names: Collection[str], offered: Collection[Collection[str]], count: int) -> list[str]:
    """So many of a region's zones, in order of name; `offered` has, per instance type, the zones that offer it."""

    def offers(chosen: Sequence[str]) -> tuple[int, int]:
        each = [len({*zones} & {*chosen}) for zones in offered]
        return sum(map(bool, each)), sum(each)

    return [*max(combinations(sorted(names), count), key=offers)]
