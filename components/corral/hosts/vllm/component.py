"""The vLLM host: servers of its models on a cluster, and their endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config.hosts import Gpus
from corral.hosts.base import ClusterComponent, HostComponent, KubernetesObject, labels
from corral.hosts.endpoint import Endpoint, KeyCredential
from corral.hosts.iam import Statement
from corral.hosts.vllm.manifests import (
    ACCOUNT,
    NODE,
    STARTING,
    Surroundings,
    manifests,
    namespace,
    service_account,
)
from corral.hosts.vllm.server import PORT, SECRET, Server

_PATIENCE = pulumi.CustomTimeouts(create=f"{STARTING + NODE}s", update=f"{2 * (STARTING + NODE)}s")
"""As long as servers take to be ready; Pulumi itself would give up after ten minutes."""


@dataclass(frozen=True)
class VllmArgs:
    """What the stack says of one vLLM host."""

    host: str
    """The host's name in the stack."""
    servers: Sequence[Server]
    gpus: Gpus | None
    cluster: ClusterComponent
    gateway_namespace: str
    """From where the gateway calls."""
    region: str | None
    """AWS's, for weights in S3."""
    token: pulumi.Output[str] | None = field(repr=False)
    """The Hugging Face token for gated weights, a secret."""
    key: pulumi.Output[str] | None = field(repr=False)
    """The key that vLLM asks for, a secret; None: it asks for none, and only the network policy keeps others out."""
    tags: Mapping[str, str]


class Vllm(HostComponent):
    """A namespace with a Deployment, a Service and their guards per model, and nodes with GPUs where the cluster has
    them to be made.

    Leaves to others: the cluster, KEDA and Prometheus.  An endpoint is ready when its Deployment is available.
    """

    def __init__(self, name: str, args: VllmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Vllm", name, None, opts)
        around = Surroundings(
            gateway_namespace=args.gateway_namespace,
            prometheus=args.cluster.prometheus,
            region=args.region,
            token=args.token is not None,
            key=args.key is not None,
            labels=labels(args.tags),
        )
        first = [*args.cluster.ready]
        if args.gpus and (fit := args.servers[0].fit):
            first += args.cluster.gpu_nodes(args.host, args.gpus, fit.node, parent=self)
        inside = args.servers[0].namespace
        where = KubernetesObject(f"{name}-namespace", namespace(inside, around), _child(args, self, first))
        account = KubernetesObject(f"{name}-account", service_account(inside, around), _child(args, self, [where]))
        first += [where, account]
        if args.token is not None or args.key is not None:
            first.append(_secret(f"{name}-secret", inside, args, around, self, where))
        if statements := _weights_in_s3(args.servers):
            first += args.cluster.identity(f"{name}-identity", inside, ACCOUNT, statements, parent=self)
        self.endpoints = {server.model: _served(name, server, around, args, self, first) for server in args.servers}
        self.register_outputs({"hostnames": {model: each.hostname for model, each in self.endpoints.items()}})


def _child(args: VllmArgs, parent: Vllm, first: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(parent=parent, provider=args.cluster.provider, depends_on=list(first))


def _served(
    name: str, server: Server, around: Surroundings, args: VllmArgs, parent: Vllm, first: Sequence[pulumi.Resource]
) -> Endpoint:
    """Applies one model's objects; what guards its servers is there before them."""
    made = manifests(server, around)
    guards = [
        KubernetesObject(f"{name}-{server.name}-{part}", manifest, _child(args, parent, first))
        for part, manifest in made.items()
        if part not in ("deployment", "scaled-object")
    ]
    deployment = KubernetesObject(
        f"{name}-{server.name}-deployment",
        made["deployment"],
        pulumi.ResourceOptions.merge(
            _child(args, parent, [*first, *guards]),
            pulumi.ResourceOptions(
                ignore_changes=["spec.replicas"] if "scaled-object" in made else [], custom_timeouts=_PATIENCE
            ),
        ),
    )
    if scaled := made.get("scaled-object"):
        KubernetesObject(f"{name}-{server.name}-scaled-object", scaled, _child(args, parent, [deployment]))
    return Endpoint(
        model=server.model,
        host=server.host,
        hostname=server.hostname,
        port=PORT,
        tls=False,
        protocol="openai",
        path="/v1",
        model_id=server.served_as,
        credential=KeyCredential("authorization", args.key) if args.key is not None else None,
        ready=(deployment,),
    )


def _secret(
    name: str, inside: str, args: VllmArgs, around: Surroundings, parent: Vllm, where: pulumi.Resource
) -> kubernetes.core.v1.Secret:
    entries = {"token": args.token, "key": args.key}
    return kubernetes.core.v1.Secret(
        name,
        metadata={"name": SECRET, "namespace": inside, "labels": dict(around.labels)},
        string_data={entry: pulumi.Output.secret(value) for entry, value in entries.items() if value is not None},
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=args.cluster.provider,
            depends_on=[where],
            additional_secret_outputs=["stringData", "data"],
        ),
    )


def _weights_in_s3(servers: Sequence[Server]) -> list[Statement]:
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
