"""The load balancer on a cluster.

Order.  Everything is there before what needs it: the software before what configures it, an endpoint's host before the
route that names it.  Pulumi deletes in the opposite order and after it updates, so a route lets go of a host before the
host goes.  Another list of hosts is another route, to which the gateway is cut over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config import cluster as config
from corral.gateway.credentials import Tenants, TenantsArgs, host_credentials
from corral.gateway.cutover import apply, cut_over
from corral.gateway.manifests.cutover import patch_key, wait_annotations
from corral.gateway.manifests.front import TENANTS, grace_seconds, scheme
from corral.gateway.manifests.hosts import UntranslatedProtocolError
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Inputs, Resource
from corral.gateway.manifests.routes import route_key
from corral.gateway.names import ENVOY_NAMESPACE, GatewayNames
from corral.gateway.serving import ModelLists, NewRoutes, until_served
from corral.gateway.software import Software, SoftwareArgs
from corral.hosts.base import ClusterComponent, KubernetesObject
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.hosts.images import Images
from corral.hosts.naming import labels
from corral.plan.credentials import CallerCredentials
from corral.plan.plan import Plan


@dataclass(frozen=True)
class GatewayArgs:
    """A plan, and what it is served with."""

    plan: Plan
    """Without errors."""
    gateway: config.Gateway
    credentials: CallerCredentials
    """The tenants' keys and the issuers' public keys."""
    endpoints: Sequence[Endpoint]
    """One for every host and model of the plan.  A host's endpoints have one credential and one `ca`."""
    cluster: ClusterComponent
    images: Images
    identity: Sequence[pulumi.Resource]
    """The permissions that let the Envoys' service account (that of `names`, in `ENVOY_NAMESPACE`) call the hosts that
    want no key; there before an Envoy starts, and what they allow before a route asks for it."""
    tags: Mapping[str, str]
    names: GatewayNames
    install: bool
    """Whether to install the software; otherwise that of another gateway on the cluster serves this one too."""


class Gateway(pulumi.ComponentResource):
    """The gateway's software, the tenants' keys, the hosts' credentials, and all that the plan is rendered to.

    Leaves to others: hosts, cluster, and what the service account may do.
    """

    url: pulumi.Output[str]
    """The base URL of any OpenAI client."""
    address: pulumi.Output[str]
    """The target of a DNS name."""
    certificate: str | None
    """The proof of the gateway's name: a secret, an issuer or an ARN."""
    namespace: pulumi.Resource
    """That of `names`."""
    keys: Mapping[str, pulumi.Output[str]]
    """The API key of each tenant, its last one where it has several, a secret; empty where tenants have tokens."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Gateway", name, None, opts)
        self._name, self._args = name, args
        child = pulumi.ResourceOptions(parent=self)
        cluster = args.cluster
        inputs = Inputs(
            plan=args.plan,
            endpoints=args.endpoints,
            gateway=args.gateway,
            network=cluster.network,
            prometheus=cluster.prometheus,
            registry=args.images.registry,
            key_counts={tenant: len(keys) for tenant, keys in args.credentials.keys.items()},
            issuer_keys=args.credentials.issuers,
            labels=labels(args.tags),
            route_annotations=wait_annotations("AIGatewayRoute"),
            names=args.names,
        )
        before = [*cluster.ready]
        if args.install:
            software = SoftwareArgs(
                provider=cluster.provider,
                network=cluster.network,
                images=args.images,
                versions=args.gateway.versions,
                cert_manager=args.gateway.cert_manager,
                counting=inputs.has_limits,
                grace_seconds=grace_seconds(args.plan.request_settings.drain_timeout),
                labels=inputs.labels,
                depends_on=cluster.ready,
            )
            before.append(Software(f"{name}-software", software, child).ready)
        self.namespace = namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": args.names.namespace, "labels": dict(inputs.labels)},
            opts=self._child(*before),
        )
        secrets = host_credentials(name, args.endpoints, args.names.namespace, inputs.labels, self._child(namespace))
        self.keys = {}
        if not args.plan.issuers:
            tenants = Tenants(
                f"{name}-tenants",
                TenantsArgs(
                    tenants=[tenant.name for tenant in args.plan.tenants],
                    keys=args.credentials.keys,
                    provider=cluster.provider,
                    namespace=args.names.namespace,
                    labels=inputs.labels,
                    depends_on=[namespace],
                ),
                child,
            )
            secrets[TENANTS], self.keys = tenants.secret, tenants.keys
        try:
            resources = render(inputs)
        except UntranslatedProtocolError as error:
            raise pulumi.RunError(str(error)) from None
        gateway, new = self._apply(resources, secrets, [*before, namespace])
        self.certificate = _certificate_name(args.gateway.certificate)
        self.address = self._address(gateway)
        host = pulumi.Output.from_input(args.gateway.hostname or self.address)
        self.url = host.apply(lambda host: f"{scheme(args.gateway)}://{host}/v1")
        lists = pulumi.Output.all(url=self.url, key=next(iter(self.keys.values()), None)).apply(
            lambda values: ModelLists(**values)
        )
        until_served(f"{name}-envoys", args.names.deployment, new, lists, args.gateway.handover, self._child())
        self.register_outputs(
            {"url": self.url, "address": self.address, "certificate": self.certificate, "keys": self.keys}
        )

    def _child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        provider = self._args.cluster.provider
        return pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*depends_on])

    def _apply(
        self,
        resources: Mapping[str, Resource],
        secrets: Mapping[str, pulumi.CustomResource],
        base: Sequence[pulumi.Resource],
    ) -> tuple[pulumi.CustomResource, pulumi.Output[NewRoutes | None]]:
        """Applies all, each after what it needs, and cuts over to the new routes; the Gateway, and what is new.

        `secrets`: by key what is needed beside the resources; `base`: what all of them need.
        """
        name, models = self._name, self._args.plan.model_names
        identity = [*self._args.identity]
        needed: dict[str, list[pulumi.Resource]] = {"proxy": identity}
        for endpoint in self._args.endpoints:
            permitted = identity if isinstance(endpoint.credential, AmbientCredential) else []
            needed.setdefault(route_key(endpoint.model), []).extend([*endpoint.ready, *permitted])
        applied: dict[str, KubernetesObject] = {}
        patches = {patch_key(model) for model in models}
        for key, resource in resources.items():
            if key not in patches:
                needs = [applied.get(need) or secrets[need] for need in resource.needs]
                applied[key] = apply(f"{name}-{key}", resource, self._child(*base, *needs, *needed.get(key, ())))
        new = cut_over(name, models, resources, applied, self._args.gateway.handover, self._child())
        return applied["gateway"], new

    def _address(self, gateway: pulumi.CustomResource) -> pulumi.Output[str]:
        """The load balancer's, which is there once the Gateway is; within a cluster the Service's own name."""
        if self._args.cluster.network == "other" and not self._args.gateway.public:
            return pulumi.Output.from_input(f"{self._args.names.service}.{ENVOY_NAMESPACE}.svc.cluster.local")
        service = kubernetes.core.v1.Service.get(
            f"{self._name}-service",
            gateway.id.apply(lambda _: f"{ENVOY_NAMESPACE}/{self._args.names.service}"),
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider),
        )
        return service.status.apply(_ingress)


def _certificate_name(certificate: config.Certificate | None) -> str | None:
    match certificate:
        case config.GivenCertificate(secret=name) | config.IssuedCertificate(issuer=name):
            return name
        case config.LoadBalancerCertificate(acm=arn):
            return arn
        case None:
            return None


def _ingress(status: Any) -> str:
    """The first name or address of a load balancer."""
    ingress = status.load_balancer.ingress[0] if status and status.load_balancer.ingress else None
    return (ingress.hostname or ingress.ip) if ingress else "unknown"
