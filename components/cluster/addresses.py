"""How a VPC's addresses are divided: a pure function, the same for ever, since a subnet cannot be resized."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

_BITS = 4
"""A VPC has sixteen blocks: a private subnet in each of the first, all public subnets in the last."""


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
