"""All the resources of one plan."""

from __future__ import annotations

from collections.abc import Mapping

from corral.config.cluster import Gateway
from corral.gateway.manifests.front import Network, front_resources
from corral.gateway.manifests.hosts import host_resources
from corral.gateway.manifests.resource import Link, Resource
from corral.gateway.manifests.routes import model_resources, route, succession_resources
from corral.gateway.manifests.tenants import callers, groups, has_limits, has_token_limits
from corral.plan.plan import Plan


def render(
    plan: Plan,
    links: Mapping[tuple[str, str], Link],
    gateway: Gateway,
    network: Network,
    keys: Mapping[str, int],
    issuer_keys: Mapping[str, str],
    labels: Mapping[str, str],
    route_annotations: Mapping[str, str],
) -> dict[str, Resource]:
    """The resources of a plan that has no errors, by key, each after all that it needs.

    `links` has an entry for the host and the model of every target, drained ones included; `keys` are how
    many API keys those tenants have that were given any; `issuer_keys` by issuer its public keys (JWKS), where they are
    no URL's; `route_annotations` those of every route, besides our own.  What they need and is not among them holds
    secrets or certificates, and is made by those who have these: `TENANTS`, `host_secret`, `host_authority`.  Raises
    `UntranslatedProtocolError`.
    """
    calling = callers(plan, keys)
    resources = front_resources(plan, gateway, network, calling, issuer_keys, labels)
    front = tuple(resources)
    for (host, model), link in sorted(links.items(), key=lambda entry: entry[0]):
        resources |= host_resources(
            host, model, link, labels, tokens=bool(plan.issuers), counted=has_token_limits(plan)
        )
    for model in plan.models:
        served = groups(model, plan.tenants)
        resources |= model_resources(
            *(model, served, calling, links, plan.limits, labels, route_annotations, front), merged=has_limits(plan)
        )
        followed = resources[route(model.name)].manifest["metadata"]["name"]
        resources |= succession_resources(model.name, followed, len(served), gateway, labels)
    return resources
