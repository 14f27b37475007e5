"""Who may do what on AWS: the roles of the cluster, of its nodes and of its pods, and who is let into the cluster.

The cluster and its nodes have AWS's own policies, pods have policies of their own.  Pods take a role on by EKS Pod
Identity: one per service account.  A role is taken on for the one cluster alone, as far as a service says for whom:
EKS names the cluster (`aws:SourceArn`), Pod Identity tags its session with cluster and service account, and of EC2,
which gives its role to a node, nothing of the kind is documented.
Source: docs.aws.amazon.com/eks, cross-service-confused-deputy-prevention, pod-id-role and pod-id-abac.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from corral.hosts.iam import ALWAYS, Condition, trust
from corral.hosts.naming import ROLE_LENGTH, hashed, physical

CONTROL_PLANE = (
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicyV2",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
"""What EKS Auto Mode needs to run nodes, volumes and load balancers for the cluster."""
NODES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")

_OF_CLUSTER = {"aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"}


def _tagging(sid: str, action: str | Sequence[str], on: str | Sequence[str] = "*", tags: Sequence[str] = ()) -> object:
    condition: dict[str, Any] = {"StringEquals": _OF_CLUSTER}
    if tags:
        condition["StringLike"] = {f"aws:RequestTag/eks:{tag}": "*" for tag in tags}
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": on, "Condition": condition}


CUSTOM_TAGS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            _tagging(
                "Compute",
                ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"],
                tags=["kubernetes-node-class-name", "kubernetes-node-pool-name"],
            ),
            _tagging(
                "Storage",
                ["ec2:CreateVolume", "ec2:CreateSnapshot"],
                on=["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:snapshot/*"],
            ),
            _tagging("Networking", "ec2:CreateNetworkInterface", tags=["kubernetes-cni-node-name"]),
        ],
    }
)
"""What lets EKS give tags of the stack's own to the nodes that it makes: a NodeClass with tags makes none without.

Source: awsdocs/amazon-eks-user-guide, latest/ug/automode/auto-learn-iam.adoc, "Custom AWS tags for EKS Auto resources",
its statements on nodes, their volumes and network interfaces; those on load balancers and Shield are for what the stack
gives no tags.
"""


def role(
    name: str,
    service: str,
    policies: Sequence[str],
    name_parts: Sequence[str],
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    condition: Condition = ALWAYS,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role that a service of AWS takes on, named by these parts, and the attachments of its managed policies.

    `condition`: of taking it on.  What uses the role depends on the attachments: without them it could no longer delete
    what it has made.
    """
    physical_name = physical(*name_parts, limit=ROLE_LENGTH)
    trusted = trust(service, condition=condition)
    role = aws.iam.Role(f"{name}-role", name=physical_name, assume_role_policy=trusted, tags=tags, opts=opts)
    attachments: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=opts
        )
        for policy in policies
    ]
    return role, attachments


def for_cluster(arn: str) -> Condition:
    """That EKS takes a role on for this cluster."""
    return {"StringEquals": {"aws:SourceAccount": arn.split(":")[4]}, "ArnLike": {"aws:SourceArn": arn}}


def administrators(name: str, caller: str, admins: Sequence[str], opts: pulumi.InvokeOptions) -> dict[str, str]:
    """Whoever runs Pulumi, and those whom the stack names; each once, by a name that is theirs wherever they stand.

    The session of a role is let in as its role: AWS knows the role's path, which the session's ARN leaves out.
    """
    deployer = aws.iam.get_session_context(arn=caller, opts=opts).issuer_arn
    return {f"{name}-admin-{hashed(arn)}": arn for arn in (deployer, *admins)}


def admit(
    names: tuple[str, str],
    cluster_name: pulumi.Input[str],
    principal: pulumi.Input[str],
    kind: Literal["STANDARD", "EC2"],
    policy: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    before: tuple[str, str] | None = None,
) -> list[pulumi.Resource]:
    """Lets a principal into a cluster, with the rights of one of EKS's own access policies.

    `names`: of the entry, and of the policy's association with it; `before`: their names until 0.1.
    """

    def named(part: int, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
        aliases = [pulumi.Alias(name=before[part])] if before else []
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))

    entry = aws.eks.AccessEntry(
        names[0], cluster_name=cluster_name, principal_arn=principal, type=kind, tags=tags, opts=named(0, opts)
    )
    association = aws.eks.AccessPolicyAssociation(
        names[1],
        cluster_name=cluster_name,
        principal_arn=principal,
        policy_arn=f"arn:aws:eks::aws:cluster-access-policy/{policy}",
        access_scope={"type": "cluster"},
        opts=named(1, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[entry]))),
    )
    return [entry, association]


@dataclass(frozen=True)
class PodIdentityArgs:
    """One service account, and what it may do."""

    cluster_name: pulumi.Input[str]
    cluster_arn: str
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
    permissions: Sequence[aws.iam.RolePolicy]
    """One for each policy.  The association waits for none: a policy may be one of a host that cannot be had."""

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        session = {
            "aws:RequestTag/eks-cluster-arn": args.cluster_arn,
            "aws:RequestTag/kubernetes-namespace": args.namespace,
            "aws:RequestTag/kubernetes-service-account": args.service_account,
        }
        role = aws.iam.Role(
            f"{name}-role",
            name=physical(args.title, args.namespace, args.service_account, limit=ROLE_LENGTH),
            assume_role_policy=trust("pods.eks.amazonaws.com", condition={"StringEquals": session}),
            tags=args.tags,
            opts=child,
        )
        self.permissions = [
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
            opts=child,
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})
