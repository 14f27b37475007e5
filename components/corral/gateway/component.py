"""The load balancer on a cluster.

Order.  Everything is there before what needs it: the software before what configures it, an endpoint's host before the
route that names it.  Nothing else comes after a host, so that one that cannot be had holds nothing back
(`availability.py`).  Pulumi deletes in the opposite order and after it updates, so a route lets go of a host before the
host goes.  Another list of hosts is another route, to which the gateway is cut over.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config import cluster as config
from corral.gateway.availability import Availability, Candidate
from corral.gateway.credentials import Tenants, TenantsArgs, host_credentials
from corral.gateway.cutover import AcceptedRoute, accepted, apply, cut_over
from corral.gateway.manifests.certificates import AUTHORITY_ENTRY, TRUST
from corral.gateway.manifests.cutover import patch_key, wait_annotations
from corral.gateway.manifests.front import TENANTS, grace_seconds
from corral.gateway.manifests.hosts import UntranslatedProtocolError, route_needs
from corral.gateway.manifests.isolation import RESTRICTED
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Inputs, Resource
from corral.gateway.manifests.routes import route_key
from corral.gateway.names import ENVOY_NAMESPACE, GatewayNames
from corral.gateway.serving import ModelLists, NewRoutes, until_served
from corral.gateway.software import Software, SoftwareArgs
from corral.hosts.base import ClusterComponent, KubernetesObject
from corral.hosts.endpoint import Endpoint
from corral.hosts.failures import HostFailures
from corral.hosts.images import Images
from corral.hosts.naming import labels
from corral.plan.credentials import CallerCredentials
from corral.plan.plan import ModelPlan, Plan


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
    """What gives the Envoys' service account (that of `names`, in `ENVOY_NAMESPACE`) an identity; there before one of
    them starts."""
    permissions: Mapping[str, pulumi.Resource]
    """By host that is called with that identity what allows it; there before a route asks for it."""
    failures: HostFailures
    """Those of the hosts."""
    tags: Mapping[str, str]
    names: GatewayNames
    point: Callable[[pulumi.Output[str]], pulumi.Output[str]] | None
    """Points the gateway's name to an address, and gives the name once it does; None: somebody else does."""
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
    """The proof of the gateway's name: a secret, an issuer or an ARN; None: its own authority."""
    ca: pulumi.Output[str | None]
    """The certificate of that authority, for clients to trust."""
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
            region=cluster.vpc.region if cluster.vpc else None,
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
                prometheus=cluster.prometheus,
                grace_seconds=grace_seconds(args.plan.request_settings.drain_timeout),
                labels=inputs.labels,
                depends_on=cluster.ready,
            )
            before.append(Software(f"{name}-software", software, child).ready)
        self.namespace = namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": args.names.namespace, "labels": {**inputs.labels, **RESTRICTED}},
            opts=self._child(*before),
        )
        secrets = host_credentials(
            name, args.endpoints, args.names.namespace, inputs.labels, args.failures, self._child(namespace)
        )
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
        applied, new, availability = self._apply(inputs, resources, secrets, [*before, namespace])
        self.certificate = _certificate_name(args.gateway.certificate)
        self.ca = self._authority(applied.get(TRUST))
        self.address = self._address(applied["gateway"])
        named = args.point(self.address) if args.point else args.gateway.hostname
        host = pulumi.Output.from_input(named or self.address)
        self.url = host.apply(lambda host: f"https://{host}/v1")
        lists = pulumi.Output.all(url=self.url, key=next(iter(self.keys.values()), None), ca=self.ca).apply(
            lambda values: ModelLists(**values)
        )
        served = until_served(f"{name}-envoys", args.names.deployment, new, lists, args.gateway.handover, self._child())
        pulumi.Output.from_input(self._end(availability, served))
        self.register_outputs(
            {
                "url": self.url,
                "address": self.address,
                "certificate": self.certificate,
                "ca": self.ca,
                "keys": self.keys,
            }
        )

    def _child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        provider = self._args.cluster.provider
        return pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*depends_on])

    def _apply(
        self,
        inputs: Inputs,
        resources: Mapping[str, Resource],
        secrets: Mapping[str, pulumi.CustomResource],
        base: Sequence[pulumi.Resource],
    ) -> tuple[Mapping[str, pulumi.CustomResource], pulumi.Output[NewRoutes | None], Availability]:
        """Applies all, each after what it needs, and cuts over to the new routes; all by key, and what is new.

        `secrets`: by key what is needed beside the resources; `base`: what all of them need.
        """
        name, args = self._name, self._args
        applied: dict[str, pulumi.CustomResource] = dict(secrets)

        def add(key: str, resource: Resource, *after: pulumi.Resource) -> KubernetesObject:
            options = self._child(*base, *(applied[need] for need in resource.needs), *after)
            if host := _annotation(resource, "corral/host"):
                options = pulumi.ResourceOptions.merge(options, args.failures.options(host))
            object_ = applied[key] = apply(f"{name}-{key}", resource, options)
            return object_

        of_models = {key: model for key, each in resources.items() if (model := _own_model(each))}
        for key, resource in resources.items():
            if key not in of_models:
                add(key, resource, *(args.identity if key == "proxy" else ()))
        availability = Availability(
            name, applied["gateway"], args.gateway.host_timeout, args.failures, pulumi.ResourceOptions(parent=self)
        )

        async def route(model: ModelPlan) -> AcceptedRoute | None:
            candidates = {
                target.host: self._candidate(inputs.by_target[target.host, model.name], target.live, applied)
                for target in sorted(model.targets, key=lambda target: target.host)
            }
            hosts = await availability.hosts(model, candidates)
            if hosts is None:
                return None
            own = {key: each for key, each in resources.items() if of_models.get(key) == model.name}
            if len(hosts) < len(candidates):
                left = {each.endpoint.host for each in hosts}
                fewer = replace(args.plan, models=(model.only(lambda target: target.host in left),))
                rendered = render(replace(inputs, plan=fewer))
                own = {key: each for key, each in rendered.items() if _own_model(each)}
            patch, last = own.pop(patch_key(model.name)), route_key(model.name)
            if not own[last].manifest["spec"]["rules"]:  # the residency of its tenants allows none of the hosts
                return None
            of_hosts = [need for each in hosts for need in (*each.named, *each.ready)]
            there = [need for need in of_hosts if availability.is_there(need)]
            needs = [key for key in own[last].needs if applied.get(key) in there or applied.get(key) not in of_hosts]
            next_route = replace(own.pop(last), needs=tuple(needs))
            for key, resource in own.items():
                add(key, resource)
            applied_route = add(last, next_route, *there)
            await accepted(f"{name}-seen/{model.name}", model.name, applied_route, self._child()).future()
            return AcceptedRoute(next_route.name, applied_route, patch)

        async def routes() -> NewRoutes | None:
            routes = await asyncio.gather(*map(route, args.plan.models))
            by_model = dict(zip(args.plan.model_names, routes, strict=True))
            next_routes = {model: each for model, each in by_model.items() if each}
            kept = [model for model, each in by_model.items() if each is None]
            return await cut_over(name, next_routes, kept, args.gateway.handover, self._child()).future()

        return applied, pulumi.Output.from_input(routes()), availability

    def _candidate(self, endpoint: Endpoint, live: bool, applied: Mapping[str, pulumi.Resource]) -> Candidate:
        permission = self._args.permissions.get(endpoint.host)
        permitted = [permission] if permission is not None else []
        return Candidate(
            endpoint,
            live,
            named=[applied[key] for key in route_needs(endpoint)],
            ready=[*endpoint.ready, *permitted],
        )

    async def _end(self, availability: Availability, served: pulumi.Output[None]) -> None:
        """Lets hosts that have failed end once the others are served.  Where one is missing the program fails, so that
        nothing is deleted."""
        try:
            await served.future()
        finally:
            missing, preview = availability.end(), pulumi.runtime.is_dry_run()
            for each in missing:
                (pulumi.warn if preview else pulumi.log.error)(each)
            self._args.failures.release()
        if missing and not preview:
            raise pulumi.RunError("not all hosts are there: what is missing stands above. Nothing was deleted")

    def _authority(self, trust: pulumi.CustomResource | None) -> pulumi.Output[str | None]:
        """What clients are to trust, which is no secret, though it is read from one."""
        if trust is None:
            return pulumi.Output.from_input(None)
        secret = kubernetes.core.v1.Secret.get(
            f"{self._name}-{TRUST}-secret",
            trust.id.apply(lambda _: f"{self._args.names.namespace}/{TRUST}"),
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider),
        )
        return pulumi.Output.unsecret(secret.data).apply(
            lambda data: b64decode(data[AUTHORITY_ENTRY]).decode() if data else None
        )

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


def _annotation(resource: Resource, key: str) -> str | None:
    return resource.manifest["metadata"].get("annotations", {}).get(key)


def _own_model(resource: Resource) -> str | None:
    """The model that has the resource to itself; one of a host is none of these."""
    return None if _annotation(resource, "corral/host") else _annotation(resource, "corral/model")


def _certificate_name(certificate: config.Certificate | None) -> str | None:
    match certificate:
        case config.GivenCertificate(secret=name) | config.IssuedCertificate(issuer=name):
            return name
        case config.LoadBalancerCertificate(acm=arn):
            return arn
        case _:
            return None


def _ingress(status: Any) -> str:
    """The first name or address of a load balancer."""
    ingress = status.load_balancer.ingress[0] if status and status.load_balancer.ingress else None
    return (ingress.hostname or ingress.ip) if ingress else "unknown"
