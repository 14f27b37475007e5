"""The objects of one model: the route with its shares, and the policy by which a request that fails goes on.

Policy.  A request goes to the hosts of priority 0 by weight.  One that fails is tried at each of them before the first
fallback, and at the fallbacks in order.  A host that fails five times in a row is left out for `ejectionTime` at first,
longer each time after; every host may be left out, but when all are, they are tried all the same rather than none.

A sharing host that is left out leaves part of its share to the fallback even where a sibling is well: Envoy counts a
priority whole from 71 % of its hosts up, and Envoy Gateway 1.8.1 has no setting for that.

Shares are in the route alone.  How often a request is tried again depends on how many hosts are named under `shares`,
drained ones included, so that no share edit changes it.

The hosts of a route stand in order of name, whatever their role, so that a fallback becomes a sharing host by its
weight and priority alone.

A route has its list of hosts for life: another list is another revision (`cutover.py`).  It has one rule as long as
every tenant may be served by all of the model's hosts, and otherwise one for each group of tenants.  Then the lists of
all rules are for life; which tenants are in which group is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corral.gateway.manifests.cutover import revision, route_name
from corral.gateway.manifests.hosts import route_needs
from corral.gateway.manifests.resource import (
    AI_GATEWAY,
    ENVOY_GATEWAY,
    GATEWAY_API,
    Inputs,
    Resource,
    keep_alive,
    manifest,
    target,
)
from corral.gateway.manifests.tenants import Caller, Group, called_by
from corral.gateway.names import GATEWAY, MODEL_HEADER, duration, object_name
from corral.plan.failover import (
    BACK_OFF_MILLISECONDS,
    CONSECUTIVE_FAILURES,
    EJECTION_INTERVAL_MILLISECONDS,
    HOST_KEEP_ALIVE,
    MAX_BACK_OFF_MILLISECONDS,
    MAX_EJECTION_PERCENT,
    PANIC_PERCENT,
    RETRIED_STATUS,
    RETRY_ON,
    UNBOUNDED,
    retries_by_priority,
)
from corral.plan.plan import Limits, ModelPlan

_UNLISTED = MODEL_HEADER.title()
"""The same header, by a name in which Envoy AI Gateway 1.1.0 does not see it: it lists a model once for each rule that
asks for `MODEL_HEADER`."""

_BREAKERS = ("maxConnections", "maxPendingRequests", "maxParallelRequests", "maxParallelRetries")


def route_key(model: str) -> str:
    """The key of the model's route among the resources."""
    return f"route/{model}"


def model_resources(
    inputs: Inputs,
    model: ModelPlan,
    groups: Sequence[Group],
    callers: Mapping[str, Caller],
    gateway: tuple[str, ...],
) -> dict[str, Resource]:
    """By key, in the order in which they are made.

    `groups`: those of the model; `gateway`: the keys of what stands in front of every route.
    """
    labels, annotations = inputs.labels, {"corral/model": model.name}
    revised = revision(model.name, [group.hosts for group in groups], labels, inputs.route_annotations)
    name = route_name(model.name, revised)
    hosts = sorted({host for group in groups for host in group.hosts})
    needs = [key for host in hosts for key in route_needs(inputs.by_target[host, model.name])]
    policies = {
        f"retries/{model.name}" + (f"/{index}" if index else ""): Resource(
            manifest(
                f"{ENVOY_GATEWAY}/v1alpha1",
                "BackendTrafficPolicy",
                f"{name}-{index}" if index else name,
                {
                    "targetRefs": [_rule_of(name, index)],
                    **({"mergeType": "StrategicMerge"} if inputs.has_limits else {}),
                    **_traffic(retries_by_priority(model, group.hosts), inputs.plan.limits),
                },
                labels,
                annotations,
            ),
            revision=revised,
        )
        for index, group in enumerate(groups)
    }
    return {
        **policies,
        route_key(model.name): Resource(
            manifest(
                f"{AI_GATEWAY}/v1beta1",
                "AIGatewayRoute",
                name,
                _route(inputs, groups, callers),
                labels,
                {**annotations, **inputs.route_annotations},
            ),
            needs=(*gateway, *policies, *needs),
            revision=revised,
        ),
    }


def _rule_of(route: str, index: int) -> dict[str, str]:
    """What a policy is of: the whole route, or one rule after the first, which has what its own policy says alone."""
    return {**target(GATEWAY_API, "HTTPRoute", route), **({"sectionName": _rule_name(index)} if index else {})}


def _rule_name(index: int) -> str:
    return f"residency-{index}" if index else "model"


def _route(inputs: Inputs, groups: Sequence[Group], callers: Mapping[str, Caller]) -> dict[str, Any]:
    return {
        "parentRefs": [target(GATEWAY_API, "Gateway", GATEWAY)],
        "rules": [
            {
                "name": _rule_name(index),
                "matches": [{"headers": _match(group, callers, index)}],
                "backendRefs": [
                    {
                        "name": object_name(to.host, group.model.name),
                        "modelNameOverride": inputs.by_target[to.host, group.model.name].model_id,
                        "weight": to.weight,
                        "priority": to.priority,
                    }
                    for to in sorted(group.model.targets, key=lambda target: target.host)
                ],
                "timeouts": {"request": "0s"},
                "streamIdleTimeout": duration(inputs.plan.limits.idle_timeout),
                "modelsOwnedBy": "corral",
            }
            for index, group in enumerate(groups)
        ],
    }


def _match(group: Group, callers: Mapping[str, Caller], index: int) -> list[dict[str, str]]:
    """The model first, where the patch of a cut-over looks for it."""
    of_model = {"type": "Exact", "name": _UNLISTED if index else MODEL_HEADER, "value": group.model.name}
    return [of_model, *([called_by(callers[name] for name in group.tenants)] if group.tenants else [])]


def _traffic(attempts: tuple[int, int], limits: Limits) -> dict[str, Any]:
    per_priority, retries = attempts
    return {
        "retry": {
            "numRetries": retries,
            "numAttemptsPerPriority": per_priority,
            "retryOn": {
                "triggers": list(RETRY_ON),
                "httpStatusCodes": list(RETRIED_STATUS),
            },
            "perRetry": {
                "backOff": {
                    "baseInterval": duration(BACK_OFF_MILLISECONDS),
                    "maxInterval": duration(MAX_BACK_OFF_MILLISECONDS),
                }
            },
        },
        "healthCheck": {
            "passive": {
                "consecutive5XxErrors": CONSECUTIVE_FAILURES,
                "interval": duration(EJECTION_INTERVAL_MILLISECONDS),
                "baseEjectionTime": duration(limits.ejection_time),
                "maxEjectionPercent": MAX_EJECTION_PERCENT,
            },
            "panicThreshold": PANIC_PERCENT,
        },
        "circuitBreaker": dict.fromkeys(_BREAKERS, UNBOUNDED),
        "timeout": {"tcp": {"connectTimeout": duration(limits.connect_timeout)}},
        "tcpKeepalive": keep_alive(HOST_KEEP_ALIVE),
    }
