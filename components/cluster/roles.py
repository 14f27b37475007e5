"""Roles of the cluster and of its nodes, with AWS's own policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.cluster.identity import trust

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
