"""The objects of one model: the route with its shares, and the policy by which a request that fails goes on.

Policy.  A request goes to the hosts of priority 0 by weight.  One that fails is tried at each of them before the first
fallback, and at the fallbacks in order.  A host that fails five times in a row is left out for `ejection` at first and
longer each time after; every host may be left out, but when all are, they are tried all the same rather than none.

A sharing host that is left out leaves part of its share to the fallback even where a sibling is well: Envoy counts a
priority whole from 71 % of its hosts up, and Envoy Gateway 1.8.1 has no setting for that.

Shares are in the route alone.  How often a request is tried again depends on how many hosts are named under `shares`,
drained ones included, so that no share edit changes it.

The hosts of a route stand in order of name, whatever their role, so that it changes least when a fallback becomes a
sharing host.  Envoy AI Gateway 1.1.0 knows a host by its place in the list, and its processor learns of a new list up
to 5 s after Envoy does: a host that comes or goes before others costs errors for so long.  A change of weights costs
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.plan.failover import RETRIED_STATUS
from components.plan.plan import Limits, ModelPlan
from components.render.gateway_api.hosts import wanted_by_a_route
from components.render.gateway_api.link import Link
from components.render.gateway_api.names import GATEWAY, object_name
from components.render.gateway_api.resource import AI_GATEWAY, ENVOY_GATEWAY, GATEWAY_API, Resource, manifest, target
from components.render.gateway_api.units import duration

MODEL_HEADER = "x-ai-eg-model"
"""Where Envoy AI Gateway puts the model that it read from the body."""

_PARALLEL_RETRIES = 1024
"""With fewer, requests fail that a fallback could have answered while a host is down."""


def route(model: str) -> str:
    """The key of the model's route among the resources."""
    return f"route/{model}"


def model_resources(
    model: ModelPlan,
    links: Mapping[tuple[str, str], Link],
    limits: Limits,
    labels: Mapping[str, str],
    gateway: tuple[str, ...],
) -> dict[str, Resource]:
    """By key, in the order in which they are made; `gateway`: the keys of what stands in front of every route."""
    name = object_name(model.name)
    hosts = sorted(target.host for target in model.targets)
    needs = [key for host in hosts for key in wanted_by_a_route(host, model.name, links[host, model.name])]
    about = {"corral/model": model.name}
    policy = f"retries/{model.name}"
    return {
        policy: Resource(
            manifest(
                f"{ENVOY_GATEWAY}/v1alpha1", "BackendTrafficPolicy", name, _traffic(model, name, limits), labels, about
            )
        ),
        route(model.name): Resource(
            manifest(f"{AI_GATEWAY}/v1beta1", "AIGatewayRoute", name, _route(model, links, limits), labels, about),
            needs=(*gateway, policy, *needs),
        ),
    }


def _route(model: ModelPlan, links: Mapping[tuple[str, str], Link], limits: Limits) -> dict[str, Any]:
    return {
        "parentRefs": [target(GATEWAY_API, "Gateway", GATEWAY)],
        "rules": [
            {
                "name": "model",
                "matches": [{"headers": [{"type": "Exact", "name": MODEL_HEADER, "value": model.name}]}],
                "backendRefs": [
                    {
                        "name": object_name(to.host, model.name),
                        "modelNameOverride": links[to.host, model.name].model_id,
                        "weight": to.weight,
                        "priority": to.priority,
                    }
                    for to in sorted(model.targets, key=lambda target: target.host)
                ],
                "timeouts": {"request": "0s"},
                "streamIdleTimeout": duration(limits.idle_timeout),
                "modelsOwnedBy": "corral",
            }
        ],
    }


def _attempts(model: ModelPlan) -> tuple[int, int]:
    """How many attempts are made at one priority before the next, and how many may follow the first in all.

    Envoy counts alike at each priority, so that with several fallbacks one of them may be asked again before the next.
    """
    sharing = sum(target.priority == 0 for target in model.targets)
    fallbacks = len(model.fallbacks)
    return sharing, sharing * fallbacks if fallbacks else max(1, sharing - 1)


def _traffic(model: ModelPlan, name: str, limits: Limits) -> dict[str, Any]:
    per_priority, retries = _attempts(model)
    return {
        "targetRefs": [target(GATEWAY_API, "HTTPRoute", name)],
        "retry": {
            "numRetries": retries,
            "numAttemptsPerPriority": per_priority,
            "retryOn": {
                "triggers": ["connect-failure", "refused-stream", "reset", "5xx", "retriable-status-codes"],
                "httpStatusCodes": list(RETRIED_STATUS),
            },
            "perRetry": {"backOff": {"baseInterval": "5ms", "maxInterval": "50ms"}},
        },
        "healthCheck": {
            "passive": {
                "consecutive5XxErrors": 5,
                "interval": "1s",
                "baseEjectionTime": duration(limits.ejection),
                "maxEjectionPercent": 100,
            },
            "panicThreshold": 1,
        },
        "circuitBreaker": {"maxParallelRetries": _PARALLEL_RETRIES},
        "timeout": {"tcp": {"connectTimeout": duration(limits.connect_timeout)}},
        "tcpKeepalive": {"probes": 3, "idleTime": "30s", "interval": "10s"},
    }
