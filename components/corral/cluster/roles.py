"""Who may do what on AWS: the roles of the cluster, of its nodes and of its pods, and who is let into the cluster.

The cluster and its nodes have AWS's own policies, pods have policies of their own.  Pods take a role on by EKS Pod
Identity: one per service account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from corral.hosts.iam import trust
from corral.hosts.naming import ROLE_LENGTH, physical

CONTROL_PLANE = (
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
"""What EKS Auto Mode needs to run nodes, volumes and load balancers for the cluster."""
NODES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")


def role(
    name: str,
    service: str,
    policies: Sequence[str],
    name_parts: Sequence[str],
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role that a service of AWS takes on, named by these parts, and the attachments of its managed policies.

    What uses the role depends on the attachments: without them it could no longer delete what it has made.
    """
    physical_name = physical(*name_parts, limit=ROLE_LENGTH)
    role = aws.iam.Role(f"{name}-role", name=physical_name, assume_role_policy=trust(service), tags=tags, opts=opts)
    attachments: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=opts
        )
        for policy in policies
    ]
    return role, attachments


def admit(
    names: tuple[str, str],
    cluster_name: pulumi.Input[str],
    principal: pulumi.Input[str],
    kind: Literal["STANDARD", "EC2"],
    policy: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Lets a principal into a cluster, with the rights of one of EKS's own access policies.

    `names`: of the entry, and of the policy's association with it.
    """
    entry = aws.eks.AccessEntry(
        names[0], cluster_name=cluster_name, principal_arn=principal, type=kind, tags=tags, opts=opts
    )
    association = aws.eks.AccessPolicyAssociation(
        names[1],
        cluster_name=cluster_name,
        principal_arn=principal,
        policy_arn=f"arn:aws:eks::aws:cluster-access-policy/{policy}",
        access_scope={"type": "cluster"},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[entry])),
    )
    return [entry, association]


@dataclass(frozen=True)
class PodIdentityArgs:
    """One service account, and what it may do."""

    cluster_name: pulumi.Input[str]
    title: str
    """The cluster's name, which the role's name starts with."""
    namespace: str
    service_account: str
    policies: Sequence[pulumi.Input[str]]
    """As JSON."""
    tags: Mapping[str, str]


class PodIdentity(pulumi.ComponentResource):
    """A role, its policies and its association with a service account.

    Leaves to others: the service account.  Pods get the credentials when they start, so they depend on `association`.
    """

    role_arn: pulumi.Output[str]
    association: aws.eks.PodIdentityAssociation

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=physical(args.title, args.namespace, args.service_account, limit=ROLE_LENGTH),
            assume_role_policy=trust("pods.eks.amazonaws.com"),
            tags=args.tags,
            opts=child,
        )
        allowed = [
            aws.iam.RolePolicy(f"{name}-policy-{number}", role=role.name, policy=policy, opts=child)
            for number, policy in enumerate(args.policies, 1)
        ]
        self.association = aws.eks.PodIdentityAssociation(
            f"{name}-association",
            cluster_name=args.cluster_name,
            namespace=args.namespace,
            service_account=args.service_account,
            role_arn=role.arn,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})
