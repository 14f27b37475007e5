"""All the resources of one plan."""

from __future__ import annotations

from collections.abc import Mapping

from components.config.gateway import Gateway
from components.plan.plan import Plan
from components.render.gateway_api.front import Network, front_resources
from components.render.gateway_api.hosts import host_resources
from components.render.gateway_api.link import Link
from components.render.gateway_api.resource import Resource
from components.render.gateway_api.routes import model_resources


def render(
    plan: Plan, links: Mapping[tuple[str, str], Link], gateway: Gateway, network: Network, labels: Mapping[str, str]
) -> dict[str, Resource]:
    """The resources of a plan that has no errors, by key, each after all that it needs.

    `links` has an entry for the host and the model of every target, drained ones included.  What they need and is not
    among them holds secrets or certificates, and is made by those who have these: `TENANTS`, `host_secret`,
    `host_authority`.  Raises `UntranslatedProtocolError`.
    """
    resources = front_resources(gateway, plan.limits, network, labels)
    front = tuple(resources)
    for (host, model), link in sorted(links.items(), key=lambda entry: entry[0]):
        resources |= host_resources(host, model, link, labels)
    for model in plan.models:
        resources |= model_resources(model, links, plan.limits, labels, front)
    return resources
