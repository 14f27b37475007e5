"""Roles on AWS: of the cluster and of its nodes, with AWS's own policies, and of pods, with policies of their own.

Pods take a role on by EKS Pod Identity: one per service account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from corral.hosts.iam import Statement, policy, trust
from corral.hosts.naming import ROLE, physical

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
    *,
    physical_name: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role that a service of AWS takes on, and the attachments of its managed policies.

    What uses the role depends on the attachments: without them it could no longer delete what it has made.
    """
    made = aws.iam.Role(f"{name}-role", name=physical_name, assume_role_policy=trust(service), tags=tags, opts=opts)
    attached: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}", role=made.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=opts
        )
        for policy in policies
    ]
    return made, attached


@dataclass(frozen=True)
class PodIdentityArgs:
    """One service account, and what it may do."""

    cluster_name: pulumi.Input[str]
    cluster: str
    """The cluster's name in the stack, which the role's name starts with."""
    namespace: str
    service_account: str
    statements: Sequence[Statement]
    tags: Mapping[str, str]
    documents: Sequence[pulumi.Input[str]] = ()
    """Policies that others wrote, as JSON, each attached as it is."""


class PodIdentity(pulumi.ComponentResource):
    """A role, its policy and its association with a service account.

    Leaves to others: the service account.  Pods get the credentials when they start, so they depend on `association`.
    """

    role_arn: pulumi.Output[str]
    association: aws.eks.PodIdentityAssociation

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=physical(args.cluster, args.namespace, args.service_account, limit=ROLE),
            assume_role_policy=trust("pods.eks.amazonaws.com"),
            tags=args.tags,
            opts=child,
        )
        policies = [*([policy(args.statements)] if args.statements else []), *args.documents]
        allowed = [
            aws.iam.RolePolicy(f"{name}-policy-{number}", role=role.name, policy=each, opts=child)
            for number, each in enumerate(policies, 1)
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
