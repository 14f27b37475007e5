"""The load balancer on a cluster.

Order.  Everything is there before what needs it: the software before what it is told, an endpoint's host before the
route that names it.  Pulumi deletes in the opposite order and after it updates, so a route lets go of a host before the
host goes.  Another list of hosts is another route: the one before goes when the next one is known everywhere.

Waiting.  A route is done when the gateway has accepted this version of it, not an earlier one.  Envoy AI Gateway 1.1
says when it last accepted or refused a route but not which version, so the time of its word is held against the time at
which the version was applied, which the API server keeps with the fields of whoever applied them.  Pulumi waits for a
word; which it was is looked at after (`acceptance.py`), as Pulumi can wait for what is good but not end at what is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config import cluster as config
from corral.gateway.credentials import Tenants, TenantsArgs
from corral.gateway.cutover import Handover, accepted
from corral.gateway.manifests.front import TENANTS, scheme
from corral.gateway.manifests.hosts import UntranslatedProtocolError, host_authority, host_secret
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Inputs, Resource
from corral.gateway.manifests.routes import route, succession
from corral.gateway.names import ENVOY_NAMESPACE, NAMESPACE, SERVICE, object_name
from corral.gateway.software import Software, SoftwareArgs
from corral.hosts.base import ClusterComponent, KubernetesObject, labels
from corral.hosts.endpoint import Endpoint, KeyCredential
from corral.plan.credentials import Proofs
from corral.plan.plan import Plan

_APPLIED = "$.metadata.managedFields[0].time"
"""When it was last changed by server-side apply: the API server puts such entries first, and Pulumi alone applies."""

_WAIT_FOR = {
    "Certificate": "condition=Ready",
    "Gateway": "condition=Programmed",
    "AIServiceBackend": "condition=Accepted",
    "BackendSecurityPolicy": "condition=Accepted",
    "EnvoyPatchPolicy": "jsonpath={.status.ancestors[0].conditions"
    "[?@.type=='Programmed' && @.observedGeneration == $.metadata.generation]}",
    "AIGatewayRoute": f"jsonpath={{.status.conditions[?!(@.lastTransitionTime < {_APPLIED})]}}",
}
"""Per kind what Pulumi waits for.

In a path Pulumi reads no `>=`, whose `=` it takes for the value's, and no second `&&`, which its parser does not take
(theory/jsonpath 0.9.0)."""

_FINALIZED = ("AIServiceBackend", "BackendSecurityPolicy", "AIGatewayRoute")
"""Kinds that stay until Envoy AI Gateway lets go of them, which it tries once.  Pulumi deletes in the foreground unless
told otherwise; then the cluster's garbage collector changes them at the same time, and an object at which the two met
stays for ever (seen of 1.1.0, with about one in ten)."""

_FOLLOWED = 10_000
"""Milliseconds that the Envoys are given to follow another route, which takes them one second."""

_PATIENCE = {"Certificate": 600, "Gateway": 900}
"""Per kind the seconds it waits; a load balancer or a certificate may take its time."""

_IMPATIENCE = 180
"""Seconds it waits for anything else, which takes a second when all is well."""


@dataclass(frozen=True)
class GatewayArgs:
    """What the load balancer is told."""

    plan: Plan
    """Without errors."""
    gateway: config.Gateway
    proofs: Proofs
    """Of the plan's tenants and issuers."""
    endpoints: Sequence[Endpoint]
    """Of every host and model of the plan.  A host's endpoints have one credential and one `ca`."""
    cluster: ClusterComponent
    identity: Sequence[pulumi.Resource]
    """What lets the Envoys' service account (`SERVICE_ACCOUNT` in `ENVOY_NAMESPACE`) call the hosts that want no key;
    there before the first Envoy starts."""
    tags: Mapping[str, str]


class Gateway(pulumi.ComponentResource):
    """The gateway's software, the tenants' keys, the hosts' credentials, and all that the plan is rendered to.

    Leaves to others: hosts, cluster, and what the service account may do.
    """

    url: pulumi.Output[str]
    """The base URL of any OpenAI client."""
    address: pulumi.Output[str]
    """Where a DNS name has to point."""
    certificate: str | None
    """What the gateway proves its name with: a secret, an issuer or an ARN."""
    keys: Mapping[str, pulumi.Output[str]]
    """By tenant its API key, the last one where it has several, a secret; empty where tenants have tokens."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Gateway", name, None, opts)
        self._name, self._args, self._labels = name, args, labels(args.tags)
        child = pulumi.ResourceOptions(parent=self)
        cluster = args.cluster
        inputs = self._inputs()
        software = Software(
            f"{name}-software",
            SoftwareArgs(cluster.provider, args.gateway.cert_manager, inputs.has_limits, self._labels, cluster.ready),
            child,
        )
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": self._labels},
            opts=self._child([*cluster.ready, software.ready]),
        )
        made: dict[str, pulumi.CustomResource] = self._credentials(namespace)
        self.keys = {}
        if not args.plan.issuers:
            names = [tenant.name for tenant in args.plan.tenants]
            asked = TenantsArgs(names, args.proofs.keys, cluster.provider, namespace, self._labels)
            tenants = Tenants(f"{name}-tenants", asked, child)
            made[TENANTS], self.keys = tenants.secret, tenants.keys
        ready = {route(model.name): self._ready(model.name) for model in args.plan.models}
        first = [software.ready, namespace]
        try:
            rendered = render(inputs)
        except UntranslatedProtocolError as error:
            raise pulumi.RunError(str(error)) from None
        late = {succession(model.name) for model in args.plan.models}
        applied: dict[str, KubernetesObject] = {}
        for key in [key for key in rendered if key not in late]:
            there = made | applied
            before = [*first, *(there[need] for need in rendered[key].needs), *ready.get(key, ())]
            applied[key] = self._applied(key, rendered[key], [*before, *args.identity] if key == "gateway" else before)
        self._hand_over(rendered, {model.name: applied[route(model.name)] for model in args.plan.models})
        self.certificate = _named(args.gateway.certificate)
        self.address = self._address(applied["gateway"])
        host = pulumi.Output.from_input(args.gateway.hostname or self.address)
        self.url = host.apply(lambda host: f"{scheme(args.gateway)}://{host}/v1")
        self.register_outputs(
            {"url": self.url, "address": self.address, "certificate": self.certificate, "keys": self.keys}
        )

    def _child(self, first: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider, depends_on=list(first))

    def _inputs(self) -> Inputs:
        args = self._args
        return Inputs(
            plan=args.plan,
            endpoints=args.endpoints,
            gateway=args.gateway,
            network=args.cluster.network,
            key_counts={tenant: len(keys) for tenant, keys in args.proofs.keys.items()},
            issuer_keys=args.proofs.issuers,
            labels=self._labels,
            route_annotations=_told_pulumi("AIGatewayRoute"),
        )

    def _ready(self, model: str) -> list[pulumi.Resource]:
        return [first for endpoint in self._args.endpoints if endpoint.model == model for first in endpoint.ready]

    def _credentials(self, namespace: pulumi.Resource) -> dict[str, pulumi.CustomResource]:
        """By key the secret of each host that wants a key, and the certificates of each that has an authority."""
        made: dict[str, pulumi.CustomResource] = {}
        for host, endpoint in sorted({endpoint.host: endpoint for endpoint in self._args.endpoints}.items()):
            metadata: Any = {
                "name": object_name(host),
                "namespace": NAMESPACE,
                "labels": self._labels,
                "annotations": {"corral/host": host},
            }
            if isinstance(endpoint.credential, KeyCredential):
                made[host_secret(host)] = kubernetes.core.v1.Secret(
                    f"{self._name}-{host_secret(host)}",
                    metadata=metadata,
                    string_data={"apiKey": pulumi.Output.secret(endpoint.credential.value)},
                    opts=pulumi.ResourceOptions.merge(
                        self._child([namespace]),
                        pulumi.ResourceOptions(additional_secret_outputs=["stringData", "data"]),
                    ),
                )
            if endpoint.ca is not None:
                made[host_authority(host)] = kubernetes.core.v1.ConfigMap(
                    f"{self._name}-{host_authority(host)}",
                    metadata=metadata,
                    data={"ca.crt": endpoint.ca},
                    opts=self._child([namespace]),
                )
        return made

    def _applied(self, key: str, resource: Resource, first: Sequence[pulumi.Resource]) -> KubernetesObject:
        manifest = resource.manifest
        kind, metadata = manifest["kind"], manifest["metadata"]
        told = {**metadata, "annotations": {**metadata.get("annotations", {}), **_told_pulumi(kind)}}
        return KubernetesObject(
            f"{self._name}-{key}" + (f"/{resource.edition}" if resource.edition else ""),
            {**manifest, "metadata": told},
            self._child(first),
        )

    def _hand_over(self, rendered: Mapping[str, Resource], routes: Mapping[str, KubernetesObject]) -> None:
        """Has the routes followed once they are accepted and known everywhere, and makes nothing end before they are.

        `routes`: by model.
        """
        models = self._args.plan.model_names
        names = {model: rendered[route(model)].manifest["metadata"]["name"] for model in models}

        def given(name: str, milliseconds: int, first: list[pulumi.Input[pulumi.Resource]]) -> Handover:
            options = pulumi.ResourceOptions(parent=self, depends_on=first)
            return Handover(f"{self._name}-{name}", names, milliseconds, options)

        time = self._args.gateway.handover
        learned = given(
            "learned",
            time,
            [accepted(f"{self._name}-seen/{model}", model, routes[model], self._child([])) for model in models],
        )
        keys = [succession(model) for model in models]
        followed = [self._applied(key, rendered[key], [learned]) for key in keys]
        given("followed", min(time, _FOLLOWED), [*followed])

    def _address(self, gateway: pulumi.CustomResource) -> pulumi.Output[str]:
        """The load balancer's, which is there once the Gateway is; within a cluster the Service's own name."""
        if self._args.cluster.network == "other" and not self._args.gateway.public:
            return pulumi.Output.from_input(f"{SERVICE}.{ENVOY_NAMESPACE}.svc.cluster.local")
        service = kubernetes.core.v1.Service.get(
            f"{self._name}-service",
            gateway.id.apply(lambda _: f"{ENVOY_NAMESPACE}/{SERVICE}"),
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider),
        )
        return service.status.apply(_balanced)


def _told_pulumi(kind: str) -> dict[str, str]:
    """The annotations that tell Pulumi what to wait for, how long, and how to delete."""
    waiting = {
        "pulumi.com/waitFor": _WAIT_FOR.get(kind, ""),
        "pulumi.com/timeoutSeconds": str(_PATIENCE.get(kind, _IMPATIENCE)),
    }
    return {
        **(waiting if kind in _WAIT_FOR else {}),
        **({"pulumi.com/deletionPropagationPolicy": "background"} if kind in _FINALIZED else {}),
    }


def _named(certificate: config.Certificate | None) -> str | None:
    match certificate:
        case config.GivenCertificate(secret=name) | config.IssuedCertificate(issuer=name):
            return name
        case config.LoadBalancerCertificate(acm=arn):
            return arn
        case None:
            return None


def _balanced(status: Any) -> str:
    """The first name or address of a load balancer."""
    ingress = status.load_balancer.ingress[0] if status and status.load_balancer.ingress else None
    return (ingress.hostname or ingress.ip) if ingress else "unknown"
