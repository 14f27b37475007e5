"""A cluster that is there already: CoreWeave, on-prem, kind."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes
from typing_extensions import override

from components.cluster.base import ClusterComponent
from components.cluster.identity import Statement
from components.config.cluster import KubeconfigCluster
from components.config.hosts import Gpus


class ExistingCluster(ClusterComponent):
    """A provider for the cluster that a kubeconfig names, and nothing on the cluster itself.

    The file is named to the provider as the stack names it: its credentials never get into the state, and the state is
    the same whoever runs Pulumi, wherever the project and the home folder lie.  The provider itself takes `~/` for the
    home folder, and a relative path for one from the program's folder, which is that of the stack file.

    Leaves to others: nodes with GPUs and what makes them known (`nvidia.com/gpu`, the label
    `node.kubernetes.io/instance-type`), a network plugin that enforces NetworkPolicy, and credentials for AWS.
    """

    network = "other"

    def __init__(self, name: str, said: KubeconfigCluster, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Existing", name, None, opts)
        self.provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=said.kubeconfig,
            context=said.context,
            cluster_identifier=said.context or said.kubeconfig,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ready = ()
        self.prometheus = said.prometheus
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
        statements: Sequence[Statement],
        parent: pulumi.Resource,
        documents: Sequence[pulumi.Input[str]] = (),
    ) -> Sequence[pulumi.Resource]:
        return ()
