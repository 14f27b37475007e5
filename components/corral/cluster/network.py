"""How a VPC's addresses are divided: a pure function, the same for ever, since a subnet cannot be resized.

The network of a new cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from corral.config.cluster import NewVpc

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


_WITHOUT_EKS = ("cac1-az3", "use1-az3", "usw1-az2")
"""Zones in which EKS has no control plane; not verified against its network requirements."""


@dataclass(frozen=True)
class NetworkArgs:
    """What the stack says of a new VPC."""

    vpc: NewVpc
    region: str
    title: str
    """What its parts are called in AWS's console."""
    tags: Mapping[str, str]


class Network(pulumi.ComponentResource):
    """A VPC: per zone a private subnet for nodes and a public one with a NAT gateway, and ways to S3 and ECR that do
    not leave AWS.

    A NAT gateway per zone, so that the loss of a zone leaves the others their way to the hosted APIs.  Nothing in a
    public subnet gets an address by itself.  The VPC's default security group lets nothing through.
    """

    vpc_id: pulumi.Output[str]
    private_subnets: Sequence[pulumi.Output[str]]
    public_addresses: Sequence[pulumi.Output[str]]
    """Those of the NAT gateways, from which pods call the internet."""
    ways_out: Sequence[pulumi.Resource]
    """What nodes need to fetch images with; deleted after them."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.vpc.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=_titled(args, "vpc"),
            opts=child,
        )
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags=_titled(args, "default"), opts=child)
        internet = aws.ec2.InternetGateway(
            f"{name}-internet", vpc_id=vpc.id, tags=_titled(args, "internet"), opts=child
        )
        to_internet = aws.ec2.RouteTable(
            f"{name}-public",
            vpc_id=vpc.id,
            routes=[{"cidr_block": "0.0.0.0/0", "gateway_id": internet.id}],
            tags=_titled(args, "public"),
            opts=child,
        )
        places = _places(args, self)
        made = [
            _zone(f"{name}-{number}", number, zone, places[number - 1], vpc, to_internet, args, self)
            for number, zone in enumerate(zones(args.vpc.cidr, args.vpc.zones), 1)
        ]
        self.vpc_id = vpc.id
        self.private_subnets = [subnet.id for subnet, _, _, _ in made]
        self.public_addresses = [address.public_ip for _, _, _, address in made]
        self.ways_out = [
            *(route for _, _, route, _ in made),
            *_endpoints(name, vpc, self.private_subnets, [table.id for _, table, _, _ in made], args, self),
        ]
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnets": self.private_subnets})


def _places(args: NetworkArgs, parent: pulumi.Resource) -> list[str]:
    """The zones of the region, in order of name, as many as there are to be."""
    found = aws.get_availability_zones(
        state="available",
        exclude_zone_ids=list(_WITHOUT_EKS),
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        opts=pulumi.InvokeOptions(parent=parent),
    ).names
    if len(found) < args.vpc.zones:
        raise pulumi.RunError(
            f"{args.region} has {len(found)} zones for a cluster, not {args.vpc.zones}: "
            "lower corral:cluster.network.zones"
        )
    return sorted(found)[: args.vpc.zones]


def _zone(
    name: str,
    number: int,
    zone: Zone,
    place: str,
    vpc: aws.ec2.Vpc,
    to_internet: aws.ec2.RouteTable,
    args: NetworkArgs,
    parent: Network,
) -> tuple[aws.ec2.Subnet, aws.ec2.RouteTable, aws.ec2.RouteTableAssociation, aws.ec2.Eip]:
    """The private subnet, its routes, what gives them to it, and the address it calls the internet from."""
    child = pulumi.ResourceOptions(parent=parent)
    public = aws.ec2.Subnet(
        f"{name}-public",
        vpc_id=vpc.id,
        cidr_block=zone.public,
        availability_zone=place,
        map_public_ip_on_launch=False,
        tags=_titled(args, f"public-{number}") | {"kubernetes.io/role/elb": "1"},
        opts=child,
    )
    routed = aws.ec2.RouteTableAssociation(
        f"{name}-public", subnet_id=public.id, route_table_id=to_internet.id, opts=child
    )
    address = aws.ec2.Eip(f"{name}-nat", domain="vpc", tags=_titled(args, f"nat-{number}"), opts=child)
    nat = aws.ec2.NatGateway(
        f"{name}-nat",
        subnet_id=public.id,
        allocation_id=address.id,
        tags=_titled(args, f"nat-{number}"),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[routed]),
    )
    private = aws.ec2.Subnet(
        f"{name}-private",
        vpc_id=vpc.id,
        cidr_block=zone.private,
        availability_zone=place,
        map_public_ip_on_launch=False,
        tags=_titled(args, f"private-{number}") | {"kubernetes.io/role/internal-elb": "1"},
        opts=child,
    )
    table = aws.ec2.RouteTable(
        f"{name}-private",
        vpc_id=vpc.id,
        routes=[{"cidr_block": "0.0.0.0/0", "nat_gateway_id": nat.id}],
        tags=_titled(args, f"private-{number}"),
        opts=child,
    )
    association = aws.ec2.RouteTableAssociation(
        f"{name}-private", subnet_id=private.id, route_table_id=table.id, opts=child
    )
    return private, table, association, address


def _endpoints(
    name: str,
    vpc: aws.ec2.Vpc,
    subnets: Sequence[pulumi.Output[str]],
    tables: Sequence[pulumi.Output[str]],
    args: NetworkArgs,
    parent: Network,
) -> list[pulumi.Resource]:
    """S3 by a gateway endpoint, which costs nothing; ECR, whose layers are in S3, by interface endpoints."""
    child = pulumi.ResourceOptions(parent=parent)
    https = aws.ec2.SecurityGroup(
        f"{name}-endpoints",
        vpc_id=vpc.id,
        description="HTTPS from within the VPC to the endpoints of AWS services",
        ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [args.vpc.cidr]}],
        tags=_titled(args, "endpoints"),
        opts=child,
    )
    gateway = aws.ec2.VpcEndpoint(
        f"{name}-s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{args.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=list(tables),
        tags=_titled(args, "s3"),
        opts=child,
    )
    interfaces = [
        aws.ec2.VpcEndpoint(
            f"{name}-ecr-{service}",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.ecr.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=list(subnets),
            security_group_ids=[https.id],
            tags=_titled(args, f"ecr-{service}"),
            opts=child,
        )
        for service in ("api", "dkr")
    ]
    return [gateway, *interfaces]


def _titled(args: NetworkArgs, part: str) -> dict[str, str]:
    return {**args.tags, "Name": f"{args.title}-{part}"}
