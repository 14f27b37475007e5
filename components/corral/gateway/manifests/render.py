"""All the resources of one plan."""

from __future__ import annotations

from corral.gateway.manifests.cutover import patch_key, patch_resource
from corral.gateway.manifests.front import front_resources, scaling_resources
from corral.gateway.manifests.hosts import host_resources
from corral.gateway.manifests.resource import Inputs, Resource
from corral.gateway.manifests.routes import model_resources, route_key, selection_resource
from corral.gateway.manifests.tenants import callers


def render(inputs: Inputs) -> dict[str, Resource]:
    """The resources by key, each after all that it needs.

    Whatever they need and is not among them holds secrets or certificates, and is made by those who have these:
    `TENANTS`, `host_secret`, `host_authority`.  Raises `UntranslatedProtocolError`.
    """
    calling = callers(inputs.plan, inputs.key_counts)
    resources = {**front_resources(inputs, calling), "selection": selection_resource(inputs)}
    front = tuple(resources)
    resources |= scaling_resources(inputs)
    for endpoint in sorted(inputs.endpoints, key=lambda endpoint: (endpoint.host, endpoint.model)):
        resources |= host_resources(inputs, endpoint)
    for model in inputs.plan.models:
        resources |= model_resources(inputs, model, calling, front)
        route = route_key(model.name)
        resources[patch_key(model.name)] = patch_resource(inputs, model.name, route, resources[route])
    return resources
