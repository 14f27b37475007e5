"""The contracts: what every host component gives to the load balancer, and what a cluster gives to both.

The load balancer knows endpoints and never a cloud; a host knows a cluster and never who made it.

A host component makes what a host needs of its own (an account, a deployment, a server) and says for each model how it
is reached.  Where a key is kept on the cluster, and how it gets into a request, is for the load balancer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import get_engine

from corral.config.cluster import Prometheus
from corral.config.hosts import Gpus, Host
from corral.config.problems import missing_extra
from corral.config.registry import Cache
from corral.config.stack import Stack
from corral.hosts.endpoint import Endpoint, StoredKey
from corral.hosts.naming import RANDOM_END, physical
from corral.plan.plan import Plan

if TYPE_CHECKING:
    from corral.hosts.endpoint import Key
    from corral.hosts.images import Images

SECRET_DATA = pulumi.ResourceOptions(additional_secret_outputs=["stringData", "data"])
"""For a Secret: what is in it is secret in the state as well, as it was given and as it lives."""

_EXTRAS = {"aws": ("boto3", "pulumi_aws"), "azure": ("pulumi_azure_native",)}
"""Per extra the modules without which its hosts and clusters cannot be made."""


def require(extra: Literal["aws", "azure"], needed_by: str) -> None:
    """Raises `pulumi.RunError` where the extra is not installed; to be called before what imports its modules."""
    if any(find_spec(module) is None for module in _EXTRAS[extra]):
        raise pulumi.RunError(missing_extra(extra, needed_by))


def autonamed(*parts: str, limit: int, before: str, opts: pulumi.ResourceOptions) -> tuple[str, pulumi.ResourceOptions]:
    """A logical name of which Pulumi makes a physical one that keeps the limit, and the options with its alias.

    Where a resource is replaced it has to have another name than the one before it, so that Pulumi makes the name.
    `before`: what it was until 0.1.
    """
    name = physical(*parts, limit=limit - RANDOM_END)
    aliases = [pulumi.Alias(name=before)] if name != before else []
    return name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))


def on_mocks() -> bool:
    """Whether the program runs without an engine, so that there is nothing that could be asked."""
    return isinstance(get_engine(), MockEngine)


class HostComponent(pulumi.ComponentResource):
    """What the load balancer takes from any host component."""

    endpoints: Mapping[str, Endpoint]
    """Per model of the host."""
    invoke_policy: pulumi.Output[str] | None = None
    """The IAM policy (JSON) of who calls it with an identity and no key; None: a key does, or nothing."""


class HostOnCluster(HostComponent):
    """One that the cluster itself runs: its objects are called after it."""

    def __init__(self, type_: str, name: str, cluster: ClusterComponent, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(type_, name, None, opts)
        self._name, self._provider = name, cluster.provider

    def _child(self, before: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._provider, depends_on=[*before])

    def _object(
        self,
        name: str,
        manifest: Mapping[str, Any],
        before: Sequence[pulumi.Resource],
        options: pulumi.ResourceOptions | None = None,
    ) -> pulumi.CustomResource:
        child = pulumi.ResourceOptions.merge(self._child(before), options)
        return KubernetesObject(f"{self._name}-{name}", manifest, child)


@dataclass(frozen=True)
class Vpc:
    """Where pods run, for those that are to be reached without leaving AWS."""

    id: pulumi.Input[str]
    region: str
    subnets: Sequence[pulumi.Input[str]]
    """The private ones, in every availability zone that has nodes."""
    one_per_zone: Sequence[pulumi.Input[str]]
    """Of these: an interface endpoint takes no second one in a zone."""
    pods: pulumi.Input[str]
    """The security group that nodes, and so pods, are in."""


class KubernetesObject(pulumi.CustomResource):
    """An object of the cluster, of any kind, with what its controller says of it."""

    metadata: pulumi.Output[Any]
    spec: pulumi.Output[Any]
    status: pulumi.Output[Any]

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """Where it is only read, its `id` is among the options, and its `manifest` says no more than API and kind."""
        api = manifest["apiVersion"]
        type_ = f"kubernetes:{api if '/' in api else f'core/{api}'}:{manifest['kind']}"
        fields: Mapping[str, Any] = {"spec": None} if opts.id is not None else manifest
        super().__init__(type_, name, {"metadata": None, "status": None, **fields}, opts)


class ClusterComponent(pulumi.ComponentResource):
    """A cluster that objects can be applied to."""

    provider: kubernetes.Provider
    """To be given to everything that is applied to the cluster, as its `provider`; made by `connect`."""
    network: Literal["eks", "other"]
    """What it stands in: EKS, whose load balancers are known, or some other network."""
    ready: Sequence[pulumi.Resource]
    """What everything in the cluster depends on: it is there before, and deleted after it."""
    prometheus: Prometheus | None
    public_addresses: Sequence[pulumi.Input[str]] = ()
    """Those from which pods call the internet; empty: unknown."""
    vpc: Vpc | None = None
    """None: not on AWS, or unknown."""
    account: str | None = None
    """That of AWS which it is in; None: none, or unknown."""
    cache: Cache | None = None
    """What images are pulled through; None: nothing of the cluster's own."""

    def connect(self, name: str, opts: pulumi.ResourceOptions, **cluster: Any) -> kubernetes.Provider:
        """A provider that changes objects in place.

        By itself it replaces a Secret or ConfigMap whose data change, which deletes it first: whatever reads the
        tenants' keys or a host's is without them until it is made again.
        """
        return kubernetes.Provider(
            name,
            enable_server_side_apply=True,
            enable_secret_mutable=True,
            enable_config_map_mutable=True,
            opts=opts,
            **cluster,
        )

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
        policies: Sequence[pulumi.Input[str]],
        parent: pulumi.Resource,
    ) -> tuple[Sequence[pulumi.Resource], Sequence[pulumi.Resource]]:
        """Lets the pods of a service account do on AWS what these policies (JSON) allow.

        Gives what pods must not start before, and for each policy what must be there before they need it; nothing on a
        cluster outside of AWS, whose pods bring credentials of their own.
        """


_Host = TypeVar("_Host", bound=Host)


@dataclass(frozen=True)
class Site:
    """All that the arguments of a host are made of: what the stack says, what the plan has resolved, the cluster."""

    stack: Stack
    plan: Plan
    """Without errors."""
    cluster: ClusterComponent
    images: Images
    keys: Mapping[str, pulumi.Output[str]] = field(repr=False)
    """Per host its key in `corral:keys`; per `huggingface` the token for gated weights."""
    folder: Path
    """The folder of the stack file."""
    tags: Mapping[str, str]
    """On everything that can have tags."""
    gateway_namespace: str
    """The namespace of the pods that call the hosts."""
    requests: Callable[[str], str]
    """By a model's name the counter of its requests at the gateway, as PromQL selects it."""

    def key(self, host: str) -> Key | None:
        """The key of a host that is there already; None: the stack has none."""
        store = self.stack.secret_store
        if store is None or (entry := store.entry(host)) is None:
            return self.keys.get(host)
        return StoredKey(store.name, entry.key, entry.property, store.refresh // 1_000)

    def host(self, name: str, kind: type[_Host]) -> _Host:
        """What the stack says of a host, which is of this kind."""
        host = self.stack.hosts[name]
        if not isinstance(host, kind):
            raise TypeError(f"{name} is a host of kind {host.kind}")
        return host
