"""What every cluster component gives to the hosts and to the gateway, whoever made the cluster."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.identity import Statement
from components.config.cluster import Prometheus
from components.config.hosts import Gpus


@dataclass(frozen=True)
class Vpc:
    """Where pods run, for those that are to be reached without leaving AWS."""

    id: pulumi.Input[str]
    region: str
    subnets: Sequence[pulumi.Input[str]]
    """The private ones, in every availability zone that has nodes."""
    pods: pulumi.Input[str]
    """The security group that nodes, and so pods, are in."""


class ClusterComponent(pulumi.ComponentResource):
    """A cluster that objects can be applied to."""

    provider: kubernetes.Provider
    """To be given to everything that is applied to the cluster, as its `provider`."""
    network: Literal["eks", "other"]
    """What it stands in: EKS, whose load balancers are known, or some other network."""
    ready: Sequence[pulumi.Resource]
    """What everything in the cluster depends on: it is there before, and deleted after it."""
    prometheus: Prometheus | None
    public_addresses: Sequence[pulumi.Input[str]] = ()
    """Those from which pods call the internet; empty: unknown."""
    vpc: Vpc | None = None
    """None: not on AWS, or unknown."""

    @abstractmethod
    def gpu_nodes(self, host: str, gpus: Gpus, count: int, parent: pulumi.Resource) -> Sequence[pulumi.Resource]:
        """Nodes with `count` GPUs each for a vLLM host; what its servers depend on.

        None where the cluster's own nodes serve.
        """

    @abstractmethod
    def identity(
        self,
        name: str,
        namespace: str,
        service_account: str,
        statements: Sequence[Statement],
        parent: pulumi.Resource,
        documents: Sequence[pulumi.Input[str]] = (),
    ) -> Sequence[pulumi.Resource]:
        """Lets the pods of a service account do on AWS what the statements say, and what the policies say that others
        wrote (JSON); what the pods depend on.

        None on a cluster outside of AWS, whose pods bring credentials of their own.
        """
