"""The network of a new cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from corral.cluster.zones import REGULAR, WITHOUT_EKS, places, shortage, zones
from corral.config.cluster import NewVpc

_INTERNET = "0.0.0.0/0"


@dataclass(frozen=True)
class NetworkArgs:
    """What the stack says of a new VPC."""

    vpc: NewVpc
    region: str
    title: str
    """What its parts are called in AWS's console."""
    tags: Mapping[str, str]
    instances: Sequence[str]
    """The types of the GPU nodes."""
    from_ecr: bool
    """Whether images come from ECR."""


class Network(pulumi.ComponentResource):
    """A VPC: per zone a private subnet for nodes and a public one with a NAT gateway, and a way to S3 that does not
    leave AWS; one to ECR where images come from there.

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
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.vpc.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        self.vpc_id = vpc.id
        if args.vpc.flow_logs:
            aws.ec2.FlowLog(
                f"{name}-flow-logs",
                vpc_id=vpc.id,
                traffic_type="ALL",
                log_destination_type="s3",
                log_destination=args.vpc.flow_logs,
                tags=self._tags("flow-logs"),
                opts=self._child,
            )
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags=self._tags("default"), opts=self._child)
        internet = aws.ec2.InternetGateway(
            f"{name}-internet", vpc_id=vpc.id, tags=self._tags("internet"), opts=self._child
        )
        to_internet = self._route_table("public", "public", {"cidr_block": _INTERNET, "gateway_id": internet.id})
        self.private_subnets, self.public_addresses, self.ways_out = [], [], []
        tables: list[aws.ec2.RouteTable] = []
        divided = zip(zones(args.vpc.cidr, args.vpc.zones), self._places(), strict=True)
        for number, (zone, place) in enumerate(divided, 1):
            public = self._subnet(f"{number}-public", f"public-{number}", zone.public, place, "elb")
            routed = self._associate(f"{number}-public", public, to_internet)
            address, nat = self._nat(number, public, routed)
            private = self._subnet(f"{number}-private", f"private-{number}", zone.private, place, "internal-elb")
            out: aws.ec2.RouteTableRouteArgsDict = {"cidr_block": _INTERNET, "nat_gateway_id": nat.id}
            table = self._route_table(f"{number}-private", f"private-{number}", out)
            tables.append(table)
            self.private_subnets.append(private.id)
            self.public_addresses.append(address.public_ip)
            self.ways_out.append(self._associate(f"{number}-private", private, table))
        self.ways_out += self._endpoints([table.id for table in tables])
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnets": self.private_subnets})

    def _tags(self, part: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._args.title}-{part}"}

    def _places(self) -> list[str]:
        """The zones of its subnets; those count too that are impaired."""
        args, invoke = self._args, pulumi.InvokeOptions(parent=self)
        name, value = REGULAR
        there = aws.get_availability_zones(
            exclude_zone_ids=list(WITHOUT_EKS), filters=[{"name": name, "values": [value]}], opts=invoke
        ).names
        if problem := shortage(args.region, there, args.vpc.zones):
            raise pulumi.RunError(problem)
        offered = [
            aws.ec2.get_instance_type_offerings(
                location_type="availability-zone",
                filters=[{"name": "instance-type", "values": [instance]}],
                opts=invoke,
            ).locations
            for instance in args.instances
        ]
        return places(there, offered, args.vpc.zones)

    def _subnet(self, name: str, title: str, cidr: str, place: str, load_balancers: str) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self._name}-{name}",
            vpc_id=self.vpc_id,
            cidr_block=cidr,
            availability_zone=place,
            map_public_ip_on_launch=False,
            tags=self._tags(title) | {f"kubernetes.io/role/{load_balancers}": "1"},
            # AWS may name other zones later, and a subnet cannot move.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availabilityZone"]),
        )

    def _route_table(self, name: str, title: str, route: aws.ec2.RouteTableRouteArgsDict) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._name}-{name}",
            vpc_id=self.vpc_id,
            routes=[route],
            tags=self._tags(title),
            opts=self._child,
        )

    def _associate(self, name: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable) -> aws.ec2.RouteTableAssociation:
        return aws.ec2.RouteTableAssociation(
            f"{self._name}-{name}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
        )

    def _nat(
        self, number: int, public: aws.ec2.Subnet, routed: pulumi.Resource
    ) -> tuple[aws.ec2.Eip, aws.ec2.NatGateway]:
        name, tags = f"{self._name}-{number}-nat", self._tags(f"nat-{number}")
        address = aws.ec2.Eip(name, domain="vpc", tags=tags, opts=self._child)
        nat = aws.ec2.NatGateway(
            name,
            subnet_id=public.id,
            allocation_id=address.id,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[routed]),
        )
        return address, nat

    def _endpoints(self, tables: Sequence[pulumi.Output[str]]) -> list[pulumi.Resource]:
        """S3 by a gateway endpoint, which costs nothing; ECR, whose layers are in S3, by interface endpoints, which
        cost by the hour."""
        gateway = aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{self._args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=list(tables),
            tags=self._tags("s3"),
            opts=self._child,
        )
        return [gateway, *(self._of_ecr() if self._args.from_ecr else ())]

    def _of_ecr(self) -> list[pulumi.Resource]:
        https = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints",
            vpc_id=self.vpc_id,
            description="HTTPS from within the VPC to the endpoints of AWS services",
            ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [self._args.vpc.cidr]}],
            tags=self._tags("endpoints"),
            opts=self._child,
        )
        return [
            aws.ec2.VpcEndpoint(
                f"{self._name}-ecr-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{self._args.region}.ecr.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.private_subnets,
                security_group_ids=[https.id],
                tags=self._tags(f"ecr-{service}"),
                opts=self._child,
            )
            for service in ("api", "dkr")
        ]
