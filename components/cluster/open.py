"""The stack's cluster, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.cluster.base import ClusterComponent
from components.cluster.eks import Eks, EksArgs
from components.cluster.existing import ExistingCluster
from components.config.cluster import KubeconfigCluster
from components.config.stack import Stack


def open_cluster(stack: Stack, tags: Mapping[str, str], opts: pulumi.ResourceOptions | None = None) -> ClusterComponent:
    """A new cluster on EKS, or the one that a kubeconfig names.

    Raises `pulumi.RunError` where there is no region for a new one.
    """
    said = stack.cluster
    if isinstance(said, KubeconfigCluster):
        return ExistingCluster("cluster", said, opts)
    if stack.region is None:
        raise pulumi.RunError(
            f"the stack {stack.name} makes a cluster on EKS and says no region: set aws:region, or name a cluster that "
            "is there, corral:cluster.kubeconfig"
        )
    return Eks("cluster", EksArgs(stack.name, said, stack.region, tags), opts)
