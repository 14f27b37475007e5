"""The vLLM host: servers of its models on a cluster, and their endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config.hosts import Gpus, VllmHost
from corral.config.secrets import HUGGING_FACE
from corral.hosts.base import SECRET_DATA, ClusterComponent, HostOnCluster, Site
from corral.hosts.endpoint import Endpoint, KeyCredential, StoredKey
from corral.hosts.iam import Statement, policy
from corral.hosts.images import Images
from corral.hosts.naming import labels
from corral.hosts.store import external_secret
from corral.hosts.vllm.manifests import (
    ACCOUNT,
    NODE_READY_SECONDS,
    STARTUP_SECONDS,
    Surroundings,
    grace_seconds,
    manifests,
    namespace,
    service_account,
)
from corral.hosts.vllm.server import PORT, SECRET, STORED_SECRET, Server
from corral.plan.gpus import Fit

if TYPE_CHECKING:
    from corral.hosts.endpoint import Key

_READY_SECONDS = STARTUP_SECONDS + NODE_READY_SECONDS
_DELETED_SECONDS = 600
"""For a Deployment to be gone after its last server had its time."""
_GATEWAY_SECONDS = 600
"""For the gateway to stand, from when on a route waits for a host."""
_WAY_OUT = (
    "`kubectl -n {namespace} get pods,events` shows what its servers wait for: where it is a node, `corral preflight "
    "-s {stack}` says whether there is a quota for it. Have that raised, or change corral:hosts.{host}.gpus. Servers "
    "that load their weights go on with that."
)


@dataclass(frozen=True)
class VllmArgs:
    """One vLLM host: its servers, and the cluster that they run on."""

    host: str
    servers: Sequence[Server]
    gpus: Gpus | None
    cluster: ClusterComponent
    images: Images
    gateway_namespace: str
    """From where the gateway calls."""
    requests: Callable[[str], str]
    """By a model's name the counter of its requests at the gateway, as PromQL selects it."""
    region: str | None
    """AWS's, for weights in S3."""
    token: Key | None = field(repr=False)
    """The Hugging Face token for gated weights, a secret, or where it is."""
    key: pulumi.Output[str] | None = field(repr=False)
    """The key that vLLM asks for, a secret; None: it asks for none, and only the network policy keeps others out."""
    tags: Mapping[str, str]

    @classmethod
    def of(cls, name: str, site: Site) -> VllmArgs:
        """The arguments of the host `name`, which has no URL."""
        host = site.host(name, VllmHost)
        servers = [
            Server(
                host=name,
                model=model,
                served_as=target.model_id,
                weights=host.model_weights[model],
                image=site.images.named(host.image),
                fit=target.fit if isinstance(target.fit, Fit) else None,
                drain_seconds=site.stack.engine.drain_timeout // 1_000,
                create_seconds=_create_seconds(name, model, site),
            )
            for model, target in site.plan.at(name).items()
        ]
        return cls(
            host=name,
            servers=servers,
            gpus=host.gpus,
            cluster=site.cluster,
            images=site.images,
            gateway_namespace=site.gateway_namespace,
            requests=site.requests,
            region=site.stack.region,
            token=site.key(HUGGING_FACE),
            key=site.keys.get(name),
            tags=site.tags,
        )


class Vllm(HostOnCluster):
    """A namespace with a Deployment, a Service and their guards per model, and nodes with GPUs where the cluster has
    them to be made.

    Leaves to others: the cluster, KEDA and Prometheus.  An endpoint is ready when its Deployment is available.
    """

    def __init__(self, name: str, args: VllmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Vllm", name, args.cluster, opts)
        self._args = args
        stored = args.token if isinstance(args.token, StoredKey) else None
        own = {} if stored else {"token": cast("pulumi.Output[str] | None", args.token)}
        entries = {entry: value for entry, value in {**own, "key": args.key}.items() if value is not None}
        self._surroundings = Surroundings(
            gateway_namespace=args.gateway_namespace,
            prometheus=args.cluster.prometheus,
            region=args.region,
            token=STORED_SECRET if stored else SECRET if "token" in entries else None,
            key=SECRET if "key" in entries else None,
            labels=labels(args.tags),
            requests=args.requests,
            instances=args.gpus.instances if args.gpus else (),
            own_nodes=args.cluster.network == "eks",
        )
        inside = args.servers[0].namespace
        before = [*args.cluster.ready]
        if args.gpus and (fit := args.servers[0].fit):
            before += args.cluster.gpu_nodes(args.host, args.gpus, fit.node, parent=self)
        where = self._object("namespace", namespace(inside, self._surroundings), before)
        before += args.images.secret(f"{name}-pull-secret", inside, self._surroundings.labels, self._child([where]))
        account = service_account(inside, self._surroundings, args.images.pull_secrets)
        before += [where, self._object("account", account, [where])]
        if entries:
            before.append(self._secret(inside, entries, where))
        if stored:
            manifest = external_secret(STORED_SECRET, inside, self._surroundings.labels, "token", stored)
            before.append(self._object("stored-token", manifest, [where]))
        if statements := _read_weights(args.servers):
            identity = args.cluster.identity(f"{name}-identity", inside, ACCOUNT, [policy(statements)], parent=self)
            before += [*identity[0], *identity[1]]
        self.endpoints = {server.model: self._endpoint(server, before) for server in args.servers}
        self.register_outputs({"hostnames": {model: each.hostname for model, each in self.endpoints.items()}})

    def _endpoint(self, server: Server, before: Sequence[pulumi.Resource]) -> Endpoint:
        """Applies one model's objects; what guards its servers is there before them."""
        objects = manifests(server, self._surroundings)
        deployed, scaled = objects.pop("deployment"), objects.pop("scaled-object", None)
        guards = [self._object(f"{server.name}-{part}", manifest, before) for part, manifest in objects.items()]
        options = pulumi.ResourceOptions(
            ignore_changes=["spec.replicas"] if scaled else [], custom_timeouts=_timeouts(server)
        )
        deployment = self._object(f"{server.name}-deployment", deployed, [*before, *guards], options)
        if scaled:
            self._object(f"{server.name}-scaled-object", scaled, [deployment])
        key = self._args.key
        return Endpoint(
            model=server.model,
            host=server.host,
            hostname=server.hostname,
            port=PORT,
            tls=False,
            protocol="openai",
            path="/v1",
            model_id=server.served_as,
            credential=KeyCredential("authorization", key) if key is not None else None,
            ready=(deployment,),
            way_out=_WAY_OUT.format(namespace=server.namespace, host=server.host, stack=pulumi.get_stack()),
        )

    def _secret(
        self, inside: str, entries: Mapping[str, pulumi.Output[str]], where: pulumi.Resource
    ) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self._name}-secret",
            metadata={"name": SECRET, "namespace": inside, "labels": dict(self._surroundings.labels)},
            string_data={entry: pulumi.Output.secret(value) for entry, value in entries.items()},
            opts=pulumi.ResourceOptions.merge(self._child([where]), SECRET_DATA),
        )


def _create_seconds(host: str, model: str, site: Site) -> int:
    """As long as servers may take; where another host serves the model meanwhile, little longer than it waits."""
    elsewhere = any(of.name == model and target.host != host for of, target in site.plan.live)
    return site.stack.gateway.host_timeout // 1_000 + _GATEWAY_SECONDS if elsewhere else _READY_SECONDS


def _timeouts(server: Server) -> pulumi.CustomTimeouts:
    """As long as servers take to be ready, and to go; Pulumi itself would give up after ten minutes."""
    return pulumi.CustomTimeouts(
        create=f"{server.create_seconds}s",
        update=f"{2 * _READY_SECONDS}s",
        delete=f"{grace_seconds(server) + _DELETED_SECONDS}s",
    )


def _read_weights(servers: Sequence[Server]) -> list[Statement]:
    """To read the weights that are in S3, and nothing beside them."""
    statements: list[Statement] = []
    for server in servers:
        if server.from_s3:
            bucket, _, prefix = server.weights.removeprefix("s3://").rstrip("/").partition("/")
            below = f"{prefix}/*" if prefix else "*"
            statements += [
                Statement(["s3:GetObject"], [f"arn:aws:s3:::{bucket}/{below}"], {}),
                Statement(
                    ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], {"StringLike": {"s3:prefix": [prefix, below]}}
                ),
            ]
    return statements
