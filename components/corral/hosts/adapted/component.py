"""The adapter that stands on the cluster before a host which does not speak OpenAI's protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from corral.config.cluster import Replicas
from corral.hosts.adapted.description import (
    STATE_FILE,
    AdaptedHost,
    AdaptedModel,
    AdapterState,
    BedrockHost,
    Limits,
    ReplicateHost,
    model_facts,
)
from corral.hosts.adapted.manifests import (
    ACCOUNT,
    CONCURRENT,
    CREDENTIALS_FILE,
    FOLDER,
    PORT,
    Pods,
    manifests,
    metadata,
    namespace,
)
from corral.hosts.base import SECRET_DATA, ClusterComponent, HostComponent, HostOnCluster, Site
from corral.hosts.endpoint import AmbientCredential, Endpoint, KeyCredential
from corral.hosts.images import Images
from corral.hosts.naming import labels
from corral.plan.plan import RequestSettings

_TOKEN_LENGTH = 48
"""Letters and digits, some 285 bits."""
_CA_FILE = "ca.crt"
_HASH_DIGITS = 16
_READY_SECONDS = 600
"""For its first pods to be there."""
_WAY_OUT = (
    "`kubectl -n {namespace} get pods,events` shows what its adapter waits for: where it is the image, "
    "corral:gateway.adapterImage is to name one that the cluster can pull."
)


@dataclass(frozen=True)
class AdaptedArgs:
    """One host, as its component has made it, and the adapter that is to stand before it."""

    host: str
    endpoints: Mapping[str, Endpoint]
    """Of the host itself, by model; all have one address and one credential."""
    invoke_policy: pulumi.Output[str] | None
    """What the adapter's identity is to be allowed."""
    facts: Mapping[str, AdaptedModel]
    """By model."""
    image: str
    replicas: Replicas
    settings: RequestSettings
    cluster: ClusterComponent
    images: Images
    gateway_namespace: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, name: str, host: HostComponent, site: Site) -> AdaptedArgs:
        """The arguments for the host `name`, whose stack names an image of the adapter."""
        return cls(
            host=name,
            endpoints=host.endpoints,
            invoke_policy=host.invoke_policy,
            facts=model_facts(site.plan, name, on_cluster=True),
            image=site.images.named(site.stack.gateway.adapter_image or ""),
            replicas=site.stack.gateway.replicas,
            settings=site.plan.request_settings,
            cluster=site.cluster,
            images=site.images,
            gateway_namespace=site.gateway_namespace,
            tags=site.tags,
        )


class Adapted(HostOnCluster):
    """A namespace with the adapter's Deployment, its identity, what it serves, and its guards.

    An endpoint is ready with the Deployment.

    Leaves to others: the host, and the image.
    """

    def __init__(self, name: str, args: AdaptedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Adapted", name, args.cluster, opts)
        self._args = args
        one = next(iter(args.endpoints.values()))
        file = one.own_secret.get("credentials")
        token = random.RandomPassword(
            f"{name}-token", length=_TOKEN_LENGTH, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        plain = pulumi.Output.from_input(_resolvable(args)).apply(lambda resolved: _state(args, resolved, None, ""))
        digest = plain.apply(lambda state: sha256(f"{state}{one.ca or ''}".encode()).hexdigest()[:_HASH_DIGITS])
        key = one.own_secret.get("apiKey", file)
        state = pulumi.Output.all(_resolvable(args), key, token).apply(lambda values: _state(args, *values))
        pods = Pods(
            host=args.host,
            image=args.image,
            replicas=args.replicas,
            drain_seconds=args.settings.drain_timeout // 1_000,
            gateway_namespace=args.gateway_namespace,
            digest=digest,
            labels=labels(args.tags),
            credentials=file is not None,
            pull_secrets=args.images.pull_secrets,
        )
        where = self._object("namespace", namespace(pods), args.cluster.ready)
        entries = {
            STATE_FILE: pulumi.Output.secret(state),
            **({} if one.ca is None else {_CA_FILE: one.ca}),
            **({} if file is None else {CREDENTIALS_FILE: pulumi.Output.secret(file)}),
        }
        secret = kubernetes.core.v1.Secret(
            f"{name}-state",
            metadata=metadata(pods),
            string_data=entries,
            opts=pulumi.ResourceOptions.merge(self._child([where]), SECRET_DATA),
        )
        pulled = args.images.secret(f"{name}-pull-secret", pods.namespace, pods.labels, self._child([where]))
        associations, permissions = self._identity(pods.namespace)
        objects = manifests(pods)
        deployed, scaler = objects.pop("deployment"), objects.pop("scaler")
        guards = [self._object(part, manifest, [where]) for part, manifest in objects.items()]
        options = pulumi.ResourceOptions(ignore_changes=["spec.replicas"], custom_timeouts=_timeouts(pods))
        deployment = self._object("deployment", deployed, [secret, *pulled, *associations, *guards], options)
        self._object("scaler", scaler, [deployment])
        self.endpoints = {
            model: Endpoint(
                model=model,
                host=args.host,
                hostname=pods.hostname,
                port=PORT,
                tls=False,
                protocol="openai",
                path=f"/{args.host}/v1",
                model_id=each.model_id,
                credential=KeyCredential("authorization", token),
                ready=(*each.ready, *permissions, deployment),
                refusal=each.refusal,
                way_out=_WAY_OUT.format(namespace=pods.namespace),
            )
            for model, each in args.endpoints.items()
        }
        self.register_outputs({"hostname": pods.hostname})

    def _identity(self, inside: str) -> tuple[Sequence[pulumi.Resource], Sequence[pulumi.Resource]]:
        args = self._args
        if args.invoke_policy is None:
            return (), ()
        return args.cluster.identity(f"{self._name}-identity", inside, ACCOUNT, [args.invoke_policy], parent=self)


def _timeouts(pods: Pods) -> pulumi.CustomTimeouts:
    """A rollout takes one pod after the other."""
    return pulumi.CustomTimeouts(
        create=f"{_READY_SECONDS}s",
        update=f"{pods.replicas.max * _READY_SECONDS}s",
        delete=f"{pods.grace_seconds + _READY_SECONDS}s",
    )


def _resolvable(args: AdaptedArgs) -> dict[str, Any]:
    """What only a provider may know: ids by model, the name, and what is in every request."""
    one = next(iter(args.endpoints.values()))
    ids = {model: each.model_id for model, each in args.endpoints.items()}
    return {"ids": ids, "hostname": one.hostname, "body": dict(one.body)}


def _state(args: AdaptedArgs, resolved: Mapping[str, Any], key: str | None, token: str) -> str:
    """The JSON of what the adapter serves; `key`: the host's, or a file of credentials."""
    one = next(iter(args.endpoints.values()))
    return AdapterState(
        token=token,
        limits=Limits(body=args.settings.body_limit, concurrent=CONCURRENT),
        drain_timeout=args.settings.drain_timeout,
        hosts=(_described(args, one, resolved, key),),
    ).model_dump_json()


def _url(one: Endpoint, hostname: str) -> str:
    port = "" if one.port == (443 if one.tls else 80) else f":{one.port}"
    return f"{'https' if one.tls else 'http'}://{hostname}{port}{one.path}"


def _described(args: AdaptedArgs, one: Endpoint, resolved: Mapping[str, Any], key: str | None) -> AdaptedHost:
    common: dict[str, Any] = {
        "name": args.host,
        "url": _url(one, resolved["hostname"]),
        "ca": None if one.ca is None else f"{FOLDER}/{_CA_FILE}",
        "connect_timeout": args.settings.connect_timeout,
        "idle_timeout": args.settings.idle_timeout,
        "models": {resolved["ids"][model]: facts for model, facts in args.facts.items()},
    }
    if isinstance(one.credential, AmbientCredential):
        return BedrockHost(
            region=one.credential.region,
            key=None,
            credentials=None if key is None else sha256(key.encode()).hexdigest()[:_HASH_DIGITS],
            parameters={name: json.loads(value) for name, value in resolved["body"].items()},
            **common,
        )
    return ReplicateHost(key=key or "", **common)
