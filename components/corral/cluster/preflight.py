"""What a cluster needs before `pulumi up`: a new one on EKS its version, its zones and the quotas that it takes of the
account; one that is there is to answer.  Only reads.

Policy.  A quota is held against what others use of it: what is tagged as the stack's own, or is a node of its cluster,
is counted as wanted and not as used, so that the verdict is the same before the first `up` and after.  Less than the
least that the stack takes is refused; less than the most is allowed, and says what to ask for.  Nodes on spot are
bought on demand where there is no spot, and of the next type where there is no room for the preferred one or it is not
offered: each is held against its own quota, in the order in which Karpenter tries them, and only where all are refused,
so is the host.  What a reservation holds is taken of none.  Which quota counts an instance type is known for the
families with NVIDIA's GPUs (AWS General Reference, Amazon EC2 endpoints and quotas); of another it is unknown.  Of the
other nodes, which Auto Mode chooses, the vCPUs of the Envoys are asked for, as a lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from typing_extensions import override

from corral.cluster.kubeconfig import UnusableClusterError, check_reachable
from corral.cluster.zones import REGULAR, WITHOUT_EKS, gpu_instances, places, shortage
from corral.config.cluster import EksCluster, GivenVpc, KubeconfigCluster, NewVpc
from corral.config.hosts import Gpus, Reservation, VllmHost
from corral.config.stack import Stack
from corral.hosts.aws import Account, increase
from corral.hosts.naming import CLUSTER_LENGTH, physical
from corral.hosts.probing import HostError, Judgement, Precondition

_PART = "cluster"


@dataclass(frozen=True)
class _Quota:
    service: str
    code: str
    name: str


_ADDRESSES = _Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs")
_VPCS = _Quota("vpc", "L-F678F1CE", "VPCs per Region")
_STANDARD = _Quota("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
_P = _Quota("ec2", "L-417A185B", "Running On-Demand P instances")
_FAMILIES: Sequence[tuple[re.Pattern[str], _Quota, _Quota | None]] = (
    (
        re.compile(r"(g|gr|vt)\d"),
        _Quota("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances"),
        _Quota("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests"),
    ),
    (re.compile(r"p[234]"), _P, _Quota("ec2", "L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests")),
    (re.compile(r"p5"), _P, _Quota("ec2", "L-C4BD4855", "All P5 Spot Instance Requests")),
    (re.compile(r"p\d"), _P, None),
    (re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d"), _STANDARD, None),
)
"""By the beginning of an instance type the quotas, in vCPUs, on demand and on spot; None: AWS's reference has none."""


class _Way(NamedTuple):
    """One of the ways to buy a host's nodes."""

    instance: str
    spot: bool

    @property
    def market(self) -> str:
        return "spot" if self.spot else "on demand"

    @property
    def quota(self) -> _Quota | None:
        return _quota(self.instance, spot=self.spot)

    @override
    def __str__(self) -> str:
        return f"{self.instance} {'on spot' if self.spot else self.market}"


def _ways(gpus: Gpus) -> Sequence[_Way]:
    """In the order in which they are tried: none of them is the reservation's."""
    bought = gpus.capacity_type
    markets = {"spot": (True, False), "onDemand": (False,), None: ()}
    each = markets[bought.otherwise if isinstance(bought, Reservation) else bought]
    return [_Way(instance, spot) for instance in gpus.instances for spot in each]


def _by_quota(hosts: Mapping[str, Sequence[_Way]]) -> Iterable[Mapping[str, Sequence[_Way]]]:
    """The hosts whose first ways take of the same quota, together."""
    groups: dict[tuple[bool, _Quota | None], dict[str, Sequence[_Way]]] = {}
    for name, ways in hosts.items():
        groups.setdefault((ways[0].spot, ways[0].quota), {})[name] = ways
    return groups.values()


def _first(hosts: Mapping[str, Sequence[_Way]]) -> _Way:
    return next(iter(hosts.values()))[0]


def preconditions(stack: Stack, vcpus_of_envoy: int) -> Iterator[Precondition]:
    """All of the stack's cluster, on which each Envoy is sure to get so many vCPUs."""
    if isinstance(stack.cluster, KubeconfigCluster):
        yield Precondition.of(_PART, "API server", _reachable, stack.cluster)
    elif stack.region is None:
        yield Precondition(_PART, "region", "refused", "the stack says none: set aws:region")
    else:
        yield from _Eks(stack, stack.cluster, Account(stack.region), vcpus_of_envoy).preconditions()


def _reachable(cluster: KubeconfigCluster | EksCluster) -> Judgement:
    try:
        if isinstance(cluster, KubeconfigCluster):
            check_reachable(cluster)
    except UnusableClusterError as error:
        return "refused", str(error)
    return "allowed", "it answers; whether it lets you in is for `pulumi up` to see"


@dataclass
class _Eks:
    stack: Stack
    cluster: EksCluster
    account: Account
    vcpus_of_envoy: int

    def preconditions(self) -> Iterator[Precondition]:
        yield Precondition.of(_PART, f"Kubernetes {self.cluster.version}", self._version)
        yield Precondition.of(_PART, "zones", self._placed)
        if isinstance(network := self.cluster.network, NewVpc):
            yield Precondition.of(_PART, "VPC", self._unused, _VPCS, "describe_vpcs", "Vpcs", 1)
            addresses = ("describe_addresses", "Addresses", network.zones)
            yield Precondition.of(_PART, "elastic IPs", self._unused, _ADDRESSES, *addresses)
        yield Precondition.of(_PART, "log group", self._log_group)
        yield Precondition.of(_PART, "vCPUs of the Envoys", self._envoys)
        if (store := self.stack.secret_store) and self.cluster.addons.external_secrets == "install":
            for name in sorted(store.keys):
                if entry := store.entry(name):
                    yield Precondition.of(name, f"secret {entry.key}", self._stored, entry.key)
        for name, gpus in self._gpus.items():
            yield Precondition.of(name, f"{' or '.join(gpus.instances)} in the zones", self._offered, gpus)
            if isinstance(reserved := gpus.capacity_type, Reservation):
                yield Precondition.of(name, reserved.reservation, self._reserved, gpus, reserved)
        for hosts in _by_quota({name: ways for name, gpus in self._gpus.items() if (ways := _ways(gpus))}):
            yield Precondition.of(", ".join(hosts), f"vCPUs, {_first(hosts).market}", self._vcpus, hosts)

    def _placed(self) -> Judgement:
        return "allowed", ", ".join(self._zones)

    def _unused(self, quota: _Quota, operation: str, kind: str, wanted: int) -> Judgement:
        """Of a kind of thing that the stack tags as its own."""
        there = self.account.read("ec2", operation)[kind]
        others = [each for each in there if ("corral-stack", self.stack.name) not in _tags(each)]
        return self._headroom(quota, len(others), wanted, wanted)

    def _log_group(self) -> Judgement:
        """EKS writes its last lines after a `pulumi destroy`, into a group that it makes anew, without tags."""
        name = f"/aws/eks/{self._title}/cluster"
        there = self.account.read("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
        for group in there:
            if group["logGroupName"] == name:
                tags = self.account.read("logs", "list_tags_for_resource", resourceArn=group["logGroupArn"])["tags"]
                if tags.get("corral-stack") != self.stack.name:
                    delete = f"`aws logs delete-log-group --log-group-name {name} --region {self.account.region}`"
                    return "refused", f"{name} is there, and not the stack's: left by a cluster of before, {delete}"
        return "allowed", f"{name} is the stack's, or is not there"

    @property
    def _title(self) -> str:
        return physical("corral", self.stack.name, limit=CLUSTER_LENGTH)

    @cached_property
    def _gpus(self) -> Mapping[str, Gpus]:
        hosts = {name: host.gpus for name, host in self.stack.hosts.items() if isinstance(host, VllmHost)}
        return {name: gpus for name, gpus in hosts.items() if gpus}

    def _version(self) -> Judgement:
        version = self.cluster.version
        answer = self.account.read(
            "eks", "describe_cluster_versions", ("InvalidParameterException",), clusterVersions=[version]
        )
        versions: list[dict[str, Any]] = answer["clusterVersions"] if answer else []
        for each in versions:
            if each.get("versionStatus") == "STANDARD_SUPPORT":
                end = each.get("endOfStandardSupportDate")
                return "allowed", f"in standard support{f' until {end.date()}' if end else ''}"
            if each.get("versionStatus"):
                state = each["versionStatus"].replace("_", " ").lower()
                return "refused", f"{state}: EKS makes it with standard support only; raise corral:cluster.version"
        return "refused", f"EKS has no version {version} in {self.account.region}: correct corral:cluster.version"

    @cached_property
    def _zones(self) -> Sequence[str]:
        """Those of the subnets that are there, or that the program would choose."""
        network = self.cluster.network
        if isinstance(network, GivenVpc):
            return self._given(network)
        filters = [{"Name": "tag:corral-stack", "Values": [self.stack.name]}]
        if subnets := self.account.read("ec2", "describe_subnets", Filters=filters)["Subnets"]:
            return sorted({subnet["AvailabilityZone"] for subnet in subnets})
        name, value = REGULAR
        answer = self.account.read("ec2", "describe_availability_zones", Filters=[{"Name": name, "Values": [value]}])
        names = [zone["ZoneName"] for zone in answer["AvailabilityZones"] if zone["ZoneId"] not in WITHOUT_EKS]
        if problem := shortage(self.account.region, names, network.zones):
            raise HostError("refused", problem)
        return places(names, [self._offering(instance) for instance in gpu_instances(self.stack)], network.zones)

    def _given(self, network: GivenVpc) -> Sequence[str]:
        answer = self.account.read(
            "ec2", "describe_subnets", ("InvalidSubnetID.NotFound",), SubnetIds=[*network.subnets]
        )
        if answer is None:
            raise HostError(
                "refused", f"{self.account.region} has not all of these subnets: correct corral:cluster.network.subnets"
            )
        if elsewhere := [each["SubnetId"] for each in answer["Subnets"] if each["VpcId"] != network.vpc]:
            raise HostError("refused", f"{', '.join(elsewhere)} is not in {network.vpc}: name subnets of that VPC")
        zones = sorted({subnet["AvailabilityZone"] for subnet in answer["Subnets"]})
        if len(zones) < 2:
            raise HostError("refused", "its subnets are all in one zone: name private ones in two or more")
        return zones

    def _offering(self, instance: str) -> list[str]:
        answer = self.account.read(
            "ec2",
            "describe_instance_type_offerings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [instance]}],
        )
        return sorted(each["Location"] for each in answer["InstanceTypeOfferings"])

    def _offered(self, gpus: Gpus) -> Judgement:
        offering = {instance: self._offering(instance) for instance in gpus.instances}
        here = {instance: [zone for zone in zones if zone in self._zones] for instance, zones in offering.items()}
        if there := next((instance for instance, zones in here.items() if zones), None):
            preferred = f", and {gpus.instance} is not" if there != gpus.instance else ""
            name = f"{there} is " if preferred else ""
            return "allowed", f"{name}offered in {', '.join(here[there])}{preferred}"
        zones = sorted({zone for zones in offering.values() for zone in zones})
        where = f"only in {', '.join(zones)}" if zones else f"nowhere in {self.account.region}"
        return "refused", f"offered {where}, and the cluster is in {', '.join(self._zones)}: take another instance type"

    def _absent(self, instance: str) -> bool:
        """Whether no zone of the cluster offers it, as far as that can be asked."""
        try:
            return not {*self._offering(instance)} & {*self._zones}
        except HostError:
            return False

    def _reservation(self, reserved: Reservation) -> Mapping[str, Any]:
        answer = self.account.read(
            "ec2",
            "describe_capacity_reservations",
            ("InvalidCapacityReservationId.NotFound",),
            CapacityReservationIds=[reserved.reservation],
        )
        if not answer or not answer["CapacityReservations"]:
            raise HostError("refused", f"{self.account.region} has no such reservation of this account")
        return answer["CapacityReservations"][0]

    def _reserved(self, gpus: Gpus, reserved: Reservation) -> Judgement:
        reservation = self._reservation(reserved)
        if reservation["InstanceType"] != gpus.instance:
            return "refused", f"it is for {reservation['InstanceType']}, not for {gpus.instance}: correct gpus.instance"
        if reservation["State"] != "active":
            return "refused", f"it is {reservation['State']}: name one that is active"
        if reservation["AvailabilityZone"] not in self._zones:
            zones = ", ".join(self._zones)
            return "refused", f"it is in {reservation['AvailabilityZone']}, and the cluster is in {zones}"
        total = reservation["TotalInstanceCount"]
        return "allowed", f"active, {total} instances{f', and at most {gpus.max} wanted' if total < gpus.max else ''}"

    def _vcpus(self, hosts: Mapping[str, Sequence[_Way]]) -> Judgement:
        """Of hosts by the ways that are left to buy their nodes, the first of which take of one quota."""
        try:
            outcome, why = self._enough(_first(hosts).quota, hosts)
        except HostError as error:
            outcome, why = error.judgement
        others = {name: ways[1:] or ways for name, ways in hosts.items()}
        if outcome != "refused" or others == hosts:
            return outcome, why
        each = [(rest, *self._vcpus(rest)) for rest in _by_quota(others)]
        instead = "; ".join(f"{_first(rest)}: {reason}" for rest, _, reason in each)
        if any(outcome == "refused" for _, outcome, _ in each):
            return "refused", f"{why}; nor is there room for {instead}"
        unknown = any(outcome == "unknown" for _, outcome, _ in each)
        return "unknown" if unknown else "allowed", f"nodes are bought as {instead}; for {_first(hosts)} {why}"

    def _enough(self, quota: _Quota | None, hosts: Mapping[str, Sequence[_Way]]) -> Judgement:
        if quota is None:
            instances = ", ".join(dict.fromkeys(way.instance for way, *_ in hosts.values()))
            return "unknown", f"which quota counts {instances} is not known here: see Service Quotas, Amazon EC2"
        least = most = 0
        for name, (way, *_) in hosts.items():
            gpus, size = self._gpus[name], self._size(way.instance)
            if self._absent(way.instance):
                raise HostError("refused", f"no zone of the cluster offers {way.instance}: take another")
            held = self._held(gpus)
            least += max(max(gpus.min, 1) - held, 0) * size  # a server that sleeps at 0 takes a node to wake on
            most += max(gpus.max - held, 0) * size
        return self._headroom(quota, self._others_vcpus(quota, spot=_first(hosts).spot), least, most)

    def _held(self, gpus: Gpus) -> int:
        """The nodes that a reservation has for it."""
        if not isinstance(gpus.capacity_type, Reservation) or self._reserved(gpus, gpus.capacity_type)[0] != "allowed":
            return 0
        return self._reservation(gpus.capacity_type)["TotalInstanceCount"]

    def _envoys(self) -> Judgement:
        """Of the nodes that Auto Mode chooses for them; the controllers beside them take some more."""
        replicas, each = self.stack.gateway.replicas, self.vcpus_of_envoy
        others = self._others_vcpus(_STANDARD, spot=False)
        return self._headroom(_STANDARD, others, replicas.min * each, replicas.max * each)

    def _stored(self, key: str) -> Judgement:
        """Whether the secret is there; what is in it is for the cluster alone to read."""
        region = self.account.region
        secret = self.account.read("secretsmanager", "describe_secret", ("ResourceNotFoundException",), SecretId=key)
        if secret is None:
            command = f"`aws secretsmanager create-secret --name {key} --secret-string file://KEY --region {region}`"
            return "refused", f"Secrets Manager has none in {region}: {command}"
        if secret.get("DeletedDate"):
            restore = f"`aws secretsmanager restore-secret --secret-id {key} --region {region}`"
            return "refused", f"it is deleted on {secret['DeletedDate'].date()}: {restore}"
        return "allowed", f"in Secrets Manager, {region}"

    def _size(self, instance: str) -> int:
        answer = self.account.read("ec2", "describe_instance_types", ("InvalidInstanceType",), InstanceTypes=[instance])
        if answer is None:
            raise HostError("refused", f"{self.account.region} has no instance type {instance}: take another")
        return answer["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"]

    def _others_vcpus(self, quota: _Quota, *, spot: bool) -> int:
        states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        answer = self.account.read("ec2", "describe_instances", Filters=states)
        own = ("aws:eks:cluster-name", self._title)
        cpus = [
            instance["CpuOptions"]
            for reservation in answer["Reservations"]
            for instance in reservation["Instances"]
            if _quota(instance["InstanceType"], spot=spot) == quota
            and (instance.get("InstanceLifecycle") == "spot") is spot
            and own not in _tags(instance)
        ]
        return sum(each["CoreCount"] * each["ThreadsPerCore"] for each in cpus)

    def _headroom(self, quota: _Quota, used: int, least: int, most: int) -> Judgement:
        value = self.account.quota(quota.service, quota.code)
        if value is None:
            return "unknown", f"Service Quotas has no “{quota.name}” ({quota.code}) in {self.account.region}"
        free = max(0, round(value) - used)
        place = f"“{quota.name}” is {value:.0f} in {self.account.region}, of which others leave {free}"
        request = increase(quota.service, quota.code, used + most, self.account.region)
        if free < least:
            return "refused", f"{place}, and {least} are wanted at least: {request}"
        if free < most:
            return "allowed", f"{place}: enough for the least, {least}, and not for the most, {most}: {request}"
        return "allowed", f"{place}, and {most} are wanted"


def _quota(instance: str, *, spot: bool) -> _Quota | None:
    """The quota that counts the vCPUs of an instance type; None: unknown."""
    for family, on_demand, on_spot in _FAMILIES:
        if family.match(instance):
            return on_spot if spot else on_demand
    return None


def _tags(resource: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(tag["Key"], tag["Value"]) for tag in resource.get("Tags", ())}
