"""Nodes with GPUs on EKS Auto Mode: what they are, and when one may be taken away.

Policy.  Auto Mode brings the GPU's driver and device plugin along.  The nodes of a vLLM host are of the instance types
that its models were fitted to: a pool for each, of which Karpenter tries the one with the highest weight first.  Only
what tolerates the taint `nvidia.com/gpu` comes onto them.  There are never more than `max` of a type: the pool's limit
in GPUs is the bound of what it can cost.  There is no least number of its own: servers that must be there keep their
nodes.

A node goes when it has been empty for an hour.  One with a server on it is not replaced for a new image of its own, nor
because the pool has changed (a budget of none for `Drifted`; the pods' `karpenter.sh/do-not-disrupt` would not hold
against these, as the nodes have a `terminationGracePeriod`, and would then cost all servers their day at once).  At 20
days it drains, as EKS itself ends a node at 21, whatever is on it: its servers are evicted one at a time, the next when
the one before is ready elsewhere (their disruption budget), within a day.  A weekly window, where the stack names one,
lets drift begin in it: a new node comes first, then the servers of the old one are evicted in the same way.
Source: github.com/kubernetes-sigs/karpenter at 22664681, pkg/controllers/disruption/types.go (`NewCandidate`) and
pkg/apis/v1/nodepool.go (`Budget`: UTC, hours and minutes, the least of those that are active).

Nodes on spot are bought on demand where there is no spot: the limit bounds both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from corral.cluster.roles import NODES, admit, role
from corral.config.hosts import Gpus, Purchase, Reservation, Window
from corral.hosts.base import KubernetesObject, Vpc
from corral.hosts.naming import labels, node_pool_names

_GPU = "nvidia.com/gpu"
_MINUTE_MILLISECONDS = 60_000
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_CAPACITY_TYPES = {"onDemand": ("on-demand",), "spot": ("spot", "on-demand")}
"""Of several Karpenter takes the first that is to be had."""


def node_class(
    name: str, gpus: Gpus, role_name: pulumi.Input[str], vpc: Vpc, tags: Mapping[str, str]
) -> dict[str, Any]:
    """The NodeClass of a host's nodes: where they stand, what disk they have and by what AWS's bills know them.

    `tags` are on the class as labels, and on its instances, volumes and network interfaces (`roles.CUSTOM_TAGS`).
    """
    spec: dict[str, Any] = {
        "role": role_name,
        "subnetSelectorTerms": [{"id": subnet} for subnet in vpc.subnets],
        "securityGroupSelectorTerms": [{"id": vpc.pods}],
        "ephemeralStorage": {"size": f"{-(-gpus.disk // 2**30)}Gi"},
        "networkPolicy": "DefaultAllow",
        "tags": dict(tags),
    }
    if isinstance(gpus.capacity_type, Reservation):
        spec["capacityReservationSelectorTerms"] = [{"id": gpus.capacity_type.reservation}]
    return {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": name, "labels": labels(tags)},
        "spec": spec,
    }


def node_pools(host: str, gpus: Gpus, count: int, marks: Mapping[str, str]) -> list[dict[str, Any]]:
    """The NodePools of a host, whose nodes have `count` GPUs each: the one of the preferred instance type first."""
    names, most = node_pool_names(host, gpus.instances), 100
    return [
        _node_pool(name, names[0], gpus, instance, count, marks, most - place if gpus.alternatives else None)
        for place, (name, instance) in enumerate(zip(names, gpus.instances, strict=True))
    ]


def _capacity_types(bought: Purchase) -> Sequence[str]:
    if isinstance(bought, Reservation):
        return ("reserved", *(_CAPACITY_TYPES[bought.otherwise] if bought.otherwise else ()))
    return _CAPACITY_TYPES[bought]


def _node_pool(
    name: str, class_name: str, gpus: Gpus, instance: str, count: int, marks: Mapping[str, str], weight: int | None
) -> dict[str, Any]:
    """`weight`: the higher is tried first."""
    required = {
        "node.kubernetes.io/instance-type": (instance,),
        "karpenter.sh/capacity-type": _capacity_types(gpus.capacity_type),
        "kubernetes.io/arch": ("amd64",),
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name, "labels": dict(marks)},
        "spec": {
            "template": {
                "metadata": {"labels": dict(marks)},
                "spec": {
                    "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": class_name},
                    "requirements": [
                        {"key": key, "operator": "In", "values": [*values]} for key, values in required.items()
                    ],
                    "taints": [{"key": _GPU, "effect": "NoSchedule"}],
                    "expireAfter": "480h",
                    "terminationGracePeriod": "24h",
                },
            },
            "limits": {_GPU: str(gpus.max * count)},
            **({"weight": weight} if weight else {}),
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "1h",
                "budgets": [_no_drift(gpus.maintenance), {"nodes": "1"}],
            },
        },
    }


def _no_drift(window: Window | None) -> dict[str, Any]:
    """The budget that keeps a node from being replaced: of those that hold at a time Karpenter takes the least, so that
    it holds from the end of a window to the beginning of the next."""
    never: dict[str, Any] = {"nodes": "0", "reasons": ["Drifted"]}
    if window is None:
        return never
    minutes = (window.start_minute + window.duration // _MINUTE_MILLISECONDS) % _WEEK_MINUTES
    day, minute = divmod(minutes, _DAY_MINUTES)
    closed = _WEEK_MINUTES - window.duration // _MINUTE_MILLISECONDS
    schedule = f"{minute % 60} {minute // 60} * * {day}"
    return {**never, "schedule": schedule, "duration": f"{closed // 60}h{closed % 60}m"}


@dataclass(frozen=True)
class GpuNodesArgs:
    """The nodes of one vLLM host."""

    host: str
    gpus: Gpus
    count: int
    """GPUs of a node."""
    cluster_name: pulumi.Input[str]
    title: str
    """The cluster's name, which the role's name starts with."""
    vpc: Vpc
    provider: kubernetes.Provider
    ready: Sequence[pulumi.Resource]
    """What of the cluster must be there before, and is deleted after."""
    policy: pulumi.Input[str] | None
    """What the nodes may do besides what every node may, as JSON."""
    tags: Mapping[str, str]


class GpuNodes(pulumi.ComponentResource):
    """A NodeClass and a NodePool for each instance type, with the role of their nodes and its entry to the cluster.

    Leaves to others: the cluster, and quotas of the account (`Running On-Demand G and VT` and so on).
    """

    pools: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: GpuNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:GpuNodes", name, None, opts)
        child, parts = pulumi.ResourceOptions(parent=self), (args.title, args.host, "gpu")
        node_role, attached = role(f"{name}-node", "ec2.amazonaws.com", NODES, parts, args.tags, child)
        if args.policy is not None:
            attached.append(aws.iam.RolePolicy(f"{name}-caching", role=node_role.name, policy=args.policy, opts=child))
        names = (f"{name}-entry", f"{name}-joining")
        admitted = admit(names, args.cluster_name, node_role.arn, "EC2", "AmazonEKSAutoNodePolicy", args.tags, child)
        class_name, *_ = node_pool_names(args.host, args.gpus.instances)
        nodes = KubernetesObject(
            f"{name}-class",
            node_class(class_name, args.gpus, node_role.name, args.vpc, args.tags),
            pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[*args.ready, *attached, *admitted]),
        )
        pools = node_pools(args.host, args.gpus, args.count, labels(args.tags))
        self.pools = [
            KubernetesObject(
                f"{name}-pool" if place == 0 else f"{name}-pool-{args.gpus.instances[place]}",
                pool,
                pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[nodes]),
            )
            for place, pool in enumerate(pools)
        ]
        self.register_outputs({})
