"""Which of a model's routes is followed while there are two: the plan's.

By itself Envoy Gateway follows the older one, and a route that goes while it is followed costs requests: for a moment
its cluster is gone and the route is not (503), or a filter that it names (500).  So a patch sets every other route of
the model aside: it asks for a header that no request has.  A route that is set aside keeps all it has, and nobody comes
to it any more.

Mostly a model has one route, and the patch finds nothing to set aside.  Envoy Gateway then says in its status that it
is not programmed, and does all the rest as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.config.gateway import Gateway
from components.render.gateway_api.front import scheme
from components.render.gateway_api.names import GATEWAY, NAMESPACE, object_name
from components.render.gateway_api.resource import ENVOY_GATEWAY, GATEWAY_API, Resource, manifest, target
from components.render.gateway_api.routes import route

_NOBODY = {"name": "x-corral-nobody", "string_match": {"exact": "-"}}
"""What a client sends under a name that begins like this is dropped before it is read."""


def succession(model: str) -> str:
    """The key of the patch."""
    return f"succession/{model}"


def succession_resources(
    model: str, followed: str, rules: int, gateway: Gateway, labels: Mapping[str, str]
) -> dict[str, Resource]:
    """By key; `followed`: the name of the model's route, which has so many rules."""
    patch = {
        "type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": f"{NAMESPACE}/{GATEWAY}/{scheme(gateway)}",
        "operation": {"op": "add", "jsonPath": _others(model, followed, rules), "path": "/-", "value": _NOBODY},
    }
    spec: dict[str, Any] = {
        "targetRef": target(GATEWAY_API, "Gateway", GATEWAY),
        "type": "JSONPatch",
        "jsonPatches": [patch],
    }
    made = manifest(
        f"{ENVOY_GATEWAY}/v1alpha1",
        "EnvoyPatchPolicy",
        object_name(model),
        spec,
        labels,
        {"corral/model": model},
    )
    return {succession(model): Resource(made, needs=(route(model),))}


def _others(model: str, followed: str, rules: int) -> str:
    """Where in Envoy's routes the headers are that a request for the model matches, but for the route that is followed.

    A route is called after the HTTPRoute, which is called as the AIGatewayRoute is, and after one of its rules.
    """
    of_model = f"@.match.headers[0].string_match.exact == '{model}'"
    other = " && ".join(f"@.name != 'httproute/{NAMESPACE}/{followed}/rule/{rule}/match/0/*'" for rule in range(rules))
    return f"$.virtual_hosts[*].routes[?({of_model} && {other})].match.headers"
