"""The contracts: what every host component gives to the load balancer, and what a cluster gives to both.

The load balancer knows endpoints and never a cloud; a host knows a cluster and never who made it.

A host component makes what a host needs of its own (an account, a deployment, a server) and says for each model how it
is reached.  Where a key is kept on the cluster, and how it gets into a request, is for the load balancer.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from corral.catalog.catalog import Protocol
from corral.config.cluster import Prometheus
from corral.config.hosts import Gpus
from corral.config.problems import missing_extra
from corral.hosts.iam import Statement

_EXTRAS = {"aws": ("boto3", "pulumi_aws"), "azure": ("pulumi_azure_native",)}
"""Per extra the modules without which its hosts and clusters cannot be made."""


def require(extra: Literal["aws", "azure"], needed_by: str) -> None:
    """Raises `pulumi.RunError` where the extra is not installed; to be called before what imports its modules."""
    if any(find_spec(module) is None for module in _EXTRAS[extra]):
        raise pulumi.RunError(missing_extra(extra, needed_by))


@dataclass(frozen=True)
class KeyCredential:
    """A key that the gateway sends in a header."""

    header: Literal["authorization", "api-key"]
    """`authorization` (as a bearer token) or `api-key`."""
    value: pulumi.Output[str] = field(repr=False)
    """The key itself, a secret."""


@dataclass(frozen=True)
class AmbientCredential:
    """The gateway's own cloud identity (Pod Identity) signs the request."""

    region: str
    """The AWS region that is called."""


Credential = KeyCredential | AmbientCredential | None
"""None: the host wants no credential."""


@dataclass(frozen=True)
class Endpoint:
    """One model at one host, ready to be named by a route."""

    model: str
    """The name clients ask for."""
    host: str
    """The host's name in the stack."""
    hostname: pulumi.Input[str]
    """A DNS name, never an address."""
    port: int
    tls: bool
    protocol: Protocol
    path: str
    """The path prefix in front of `/chat/completions`: `/v1`; empty where the protocol has its own paths."""
    model_id: pulumi.Input[str]
    """The host's own id of the model: plain, unless the host makes it (an application inference profile)."""
    credential: Credential
    ca: str | None = None
    """PEM certificates to trust for this host instead of the system's."""
    ready: Sequence[pulumi.Resource] = ()
    """What must be there before a route names this endpoint."""
    body: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, "pulumi.Input[str]"])
    """Top-level fields that the gateway sets in every request to the host, each value as JSON text."""

    @property
    def url(self) -> pulumi.Output[str]:
        """The base URL, for a person to look at."""
        return pulumi.Output.concat("https" if self.tls else "http", "://", self.hostname, f":{self.port}{self.path}")


class HostComponent(pulumi.ComponentResource):
    """What the load balancer takes from any host component."""

    endpoints: Mapping[str, Endpoint]
    """Per model of the host."""
    invoke_policy: pulumi.Output[str] | None = None
    """The IAM policy (JSON) of who calls it with an identity and no key; None: a key does, or nothing."""


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """The stack's tags as labels: what a label cannot hold becomes `-`, and 63 characters are kept."""
    return {key: re.sub(r"[^A-Za-z0-9._-]", "-", value)[:63].strip("-._") for key, value in tags.items()}


@dataclass(frozen=True)
class Vpc:
    """Where pods run, for those that are to be reached without leaving AWS."""

    id: pulumi.Input[str]
    region: str
    subnets: Sequence[pulumi.Input[str]]
    """The private ones, in every availability zone that has nodes."""
    pods: pulumi.Input[str]
    """The security group that nodes, and so pods, are in."""


class KubernetesObject(pulumi.CustomResource):
    """An object of the cluster, of any kind, with what its controller says of it."""

    metadata: pulumi.Output[Any]
    status: pulumi.Output[Any]

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """Where it is only read, its `id` is among the options, and its `manifest` says no more than API and kind."""
        api = manifest["apiVersion"]
        type_ = f"kubernetes:{api if '/' in api else f'core/{api}'}:{manifest['kind']}"
        fields: Mapping[str, Any] = {} if opts.id is not None else manifest
        super().__init__(type_, name, {"metadata": None, "status": None, **fields}, opts)


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
