"""Nodes with GPUs on EKS Auto Mode: what they are, and when one may be taken away.

Policy.  Auto Mode brings the GPU's driver and device plugin along.  The nodes of a vLLM host are all of the one
instance type that its models were fitted to.  Only what tolerates the taint `nvidia.com/gpu` comes onto them.  There
are never more than `max`: the pool's limit in GPUs is the bound of what it can cost.  There is no least number of its
own: servers that must be there keep their nodes.

A node goes when it has been empty for an hour.  One with a server on it is left alone (its pods say
`karpenter.sh/do-not-disrupt`) until it is 20 days old: EKS itself ends a node at 21, whatever is on it, so that its
servers get a day to drain and the others go on; one node at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from corral.cluster.roles import NODES, role
from corral.config.hosts import Gpus, Reservation
from corral.hosts.base import KubernetesObject, labels
from corral.hosts.naming import ROLE, physical

_AUTO_NODE = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy"
_GPU = "nvidia.com/gpu"


def node_class(
    name: str,
    gpus: Gpus,
    role_name: pulumi.Input[str],
    subnets: Sequence[pulumi.Input[str]],
    security_group: pulumi.Input[str],
    marks: Mapping[str, str],
) -> dict[str, Any]:
    """The NodeClass of a host's nodes: where they stand and what disk they have; `marks` are its labels."""
    spec: dict[str, Any] = {
        "role": role_name,
        "subnetSelectorTerms": [{"id": subnet} for subnet in subnets],
        "securityGroupSelectorTerms": [{"id": security_group}],
        "ephemeralStorage": {"size": f"{-(-gpus.disk // 2**30)}Gi"},
        "networkPolicy": "DefaultAllow",
    }
    if isinstance(gpus.capacity_type, Reservation):
        spec["capacityReservationSelectorTerms"] = [{"id": gpus.capacity_type.reservation}]
    return {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": name, "labels": dict(marks)},
        "spec": spec,
    }


def node_pool(name: str, gpus: Gpus, count: int, marks: Mapping[str, str]) -> dict[str, Any]:
    """The NodePool of a host, whose nodes have `count` GPUs each."""
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name, "labels": dict(marks)},
        "spec": {
            "template": {
                "metadata": {"labels": dict(marks)},
                "spec": {
                    "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": name},
                    "requirements": [
                        _in("node.kubernetes.io/instance-type", gpus.instance),
                        _in("karpenter.sh/capacity-type", _capacity_type(gpus)),
                        _in("kubernetes.io/arch", "amd64"),
                    ],
                    "taints": [{"key": _GPU, "effect": "NoSchedule"}],
                    "expireAfter": "480h",
                    "terminationGracePeriod": "24h",
                },
            },
            "limits": {_GPU: str(gpus.max * count)},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "1h",
                "budgets": [{"nodes": "1"}],
            },
        },
    }


def _in(label: str, value: str) -> dict[str, Any]:
    return {"key": label, "operator": "In", "values": [value]}


def _capacity_type(gpus: Gpus) -> str:
    match gpus.capacity_type:
        case Reservation():
            return "reserved"
        case "spot":
            return "spot"
        case "onDemand":
            return "on-demand"


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
    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    provider: kubernetes.Provider
    ready: Sequence[pulumi.Resource]
    """What of the cluster must be there before, and is deleted after."""
    tags: Mapping[str, str]


class GpuNodes(pulumi.ComponentResource):
    """A NodeClass and a NodePool, with the role of their nodes and its entry to the cluster.

    Leaves to others: the cluster, and quotas of the account (`Running On-Demand G and VT` and so on).
    """

    pool: pulumi.Resource

    def __init__(self, name: str, args: GpuNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:GpuNodes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made, attached = role(
            f"{name}-node",
            "ec2.amazonaws.com",
            NODES,
            physical_name=physical(args.title, args.host, "gpu", limit=ROLE),
            tags=args.tags,
            opts=child,
        )
        entry = aws.eks.AccessEntry(
            f"{name}-entry",
            cluster_name=args.cluster_name,
            principal_arn=made.arn,
            type="EC2",
            tags=args.tags,
            opts=child,
        )
        joining = aws.eks.AccessPolicyAssociation(
            f"{name}-joining",
            cluster_name=args.cluster_name,
            principal_arn=made.arn,
            policy_arn=_AUTO_NODE,
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
        called, marks = physical("corral", args.host), labels(args.tags)
        nodes = KubernetesObject(
            f"{name}-class",
            node_class(called, args.gpus, made.name, args.subnets, args.security_group, marks),
            pulumi.ResourceOptions(
                parent=self, provider=args.provider, depends_on=[*args.ready, *attached, entry, joining]
            ),
        )
        self.pool = KubernetesObject(
            f"{name}-pool",
            node_pool(called, args.gpus, args.count, marks),
            pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[nodes]),
        )
        self.register_outputs({})
