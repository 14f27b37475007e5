"""The stack's cluster, whichever it is: a new one on EKS, or one that is there already (CoreWeave, on-prem, kind)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
from typing_extensions import override

from corral.cluster.kubeconfig import UnusableClusterError, check_reachable
from corral.cluster.zones import gpu_instances
from corral.config.cluster import KubeconfigCluster
from corral.config.hosts import Gpus
from corral.config.stack import Stack
from corral.hosts.base import ClusterComponent, on_mocks, require


class ExistingCluster(ClusterComponent):
    """A provider for the cluster that a kubeconfig names, and nothing on the cluster itself.

    The file is named to the provider as the stack names it: its credentials never get into the state, and the state is
    the same whoever runs Pulumi, wherever the project and the home folder lie.  The provider itself takes `~/` for the
    home folder, and a relative path for one from the program's folder, which is that of the stack file.

    Leaves to others: nodes with GPUs and what makes them known (`nvidia.com/gpu`, the label
    `node.kubernetes.io/instance-type`), a network plugin that enforces NetworkPolicy, and credentials for AWS.
    """

    network = "other"

    def __init__(self, name: str, cluster: KubeconfigCluster, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Existing", name, None, opts)
        self.provider = self.connect(
            f"{name}-provider",
            pulumi.ResourceOptions(parent=self),
            kubeconfig=cluster.kubeconfig,
            context=cluster.context,
            cluster_identifier=cluster.context or cluster.kubeconfig,
        )
        self.ready = ()
        self.prometheus = cluster.prometheus
        self.register_outputs({})

    @override
    def gpu_nodes(self, host: str, gpus: Gpus, count: int, parent: pulumi.Resource) -> Sequence[pulumi.Resource]:
        return ()

    @override
    def identity(
        self,
        name: str,
        namespace: str,
        service_account: str,
        policies: Sequence[pulumi.Input[str]],
        parent: pulumi.Resource,
    ) -> tuple[Sequence[pulumi.Resource], Sequence[pulumi.Resource]]:
        return (), ()


def open_cluster(stack: Stack, tags: Mapping[str, str], opts: pulumi.ResourceOptions | None = None) -> ClusterComponent:
    """A new cluster on EKS, or the one that a kubeconfig names.

    Raises `pulumi.RunError` where the extra for AWS is not installed, and where the one that is there cannot be asked;
    ValueError for a stack that was not read.
    """
    if isinstance(stack.cluster, KubeconfigCluster):
        if not on_mocks():
            try:
                check_reachable(stack.cluster)
            except UnusableClusterError as error:
                raise pulumi.RunError(str(error)) from None
        return ExistingCluster("cluster", stack.cluster, opts)
    if stack.region is None:
        raise ValueError(f"the stack {stack.name} has no region")
    require("aws", "a cluster on EKS")
    from corral.cluster.eks import Eks, EksArgs

    args = EksArgs(stack.name, stack.cluster, stack.region, tags, gpu_instances(stack), stack.registry)
    return Eks("cluster", args, opts)
