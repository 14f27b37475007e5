"""The objects of one model: the route with its shares, and the policy by which a request that fails goes on.

Policy.  A request goes to the hosts of priority 0 by weight.  One that fails is tried at each of them before the first
fallback, and at the fallbacks in order.  A host that fails five times in a row is left out for `ejectionTime` at first,
longer each time after; every host may be left out, but when all are, they are tried all the same rather than none.  A
sharing host that is left out leaves part of its share to the fallback even where a sibling is well: Envoy counts a
priority whole from 71 % of its hosts up, and Envoy Gateway 1.8.1 has no setting for that.

A retry draws by the same weights, and again while it meets a host that was tried.  Envoy Gateway 1.8.3 lets Envoy draw
five times more and has no setting for it, so that half of the retries meet a failing host of 90 % again.  One patch of
all routes (`selection_resource`) raises the number; no share is in it.  It costs Envoy Gateway 70 ms of a CPU for each
list of 30 routes, and a second for one of 100.  Goes when Envoy Gateway has a setting.

Shares are in the route alone, and so is the hash of the model's plan: a header that Envoy AI Gateway 1.1.0 sets at
whichever host is asked, beside those of the host itself (`mergeHeaderMutations`), and that the log and the answer have.
How often a request is tried again depends on how many hosts are named under `shares`, drained ones included, so that no
share edit changes it.  The hosts stand in order of name, whatever their role, so that
a fallback becomes a sharing host by its weight and priority alone.

A route has one rule as long as every tenant may be served by all of the model's hosts, and otherwise one for each group
of tenants.  Each rule has its list of hosts for life: another list is another revision of the route (`cutover.py`).
Which tenants are in which group is not for life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corral.gateway.manifests.cutover import revision, route_name, routes_patch
from corral.gateway.manifests.hosts import route_needs
from corral.gateway.manifests.resource import Inputs, Resource, keep_alive, reference
from corral.gateway.manifests.tenants import Caller, Group, called_by, groups
from corral.gateway.names import HOST_HEADER, MODEL_HEADER, duration, object_name
from corral.plan import failover
from corral.plan.plan import ModelPlan, RequestSettings
from corral.plan.trace import PLAN_HEADER, model_hash

_UNLISTED = MODEL_HEADER.title()
"""The same header, by a name in which Envoy AI Gateway 1.1.0 does not see it: it lists a model once for each rule that
asks for `MODEL_HEADER`."""

_BREAKERS = ("maxConnections", "maxPendingRequests", "maxParallelRequests", "maxParallelRetries")


def route_key(model: str) -> str:
    """The key of the model's route among the resources."""
    return f"route/{model}"


def selection_resource(inputs: Inputs) -> Resource:
    """The patch by which a retry finds a host that was not tried, whatever the shares, and an answer names its host.

    It is there before the first route, and put on every list of routes that Envoy Gateway makes.
    """
    attempts = (".routes[*].route.retry_policy", "/host_selection_retry_max_attempts", failover.SELECTION_ATTEMPTS)
    named = (HOST_HEADER, PLAN_HEADER) if inputs.plan.trace_headers else (HOST_HEADER,)
    spec = routes_patch(inputs, attempts, *(("", "/response_headers_to_add/-", _answered(name)) for name in named))
    return inputs.resource("EnvoyPatchPolicy", inputs.names.gateway, spec, needs=["gateway"])


def _answered(name: str) -> dict[str, Any]:
    """A header of a request that its answer has too, whatever a host answers by that name."""
    return {"header": {"key": name, "value": f"%REQ({name})%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def model_resources(
    inputs: Inputs, model: ModelPlan, callers: Mapping[str, Caller], front: Sequence[str]
) -> dict[str, Resource]:
    """The resources by key, in the order in which they are made; `front`: the keys of what every route needs."""
    rules = groups(model, inputs.plan)
    hosts = [group.hosts for group in rules]
    revised = revision(model.name, hosts, inputs.labels, inputs.route_annotations)
    name, annotations = route_name(model.name, revised), {"corral/model": model.name}
    planned = {"headerMutation": {"set": [{"name": PLAN_HEADER, "value": model_hash(model, inputs.plan)}]}}
    merge = {"mergeType": "StrategicMerge"} if inputs.has_limits else {}
    resources: dict[str, Resource] = {}
    for index, group in enumerate(rules):
        spec = {
            "targetRefs": [_rule_of(name, index)],
            **merge,
            **_traffic(model, group.hosts, inputs.plan.request_settings),
        }
        resources[f"retries/{model.name}" + (f"/{index}" if index else "")] = inputs.resource(
            "BackendTrafficPolicy",
            f"{name}-{index}" if index else name,
            spec,
            annotations=annotations,
            revision=revised,
        )
    endpoints = [inputs.by_target[host, model.name] for host in sorted({host for of_rule in hosts for host in of_rule})]
    resources[route_key(model.name)] = inputs.resource(
        "AIGatewayRoute",
        name,
        {
            "parentRefs": [reference("Gateway", inputs.names.gateway)],
            "rules": [_rule(inputs, group, callers, index, planned) for index, group in enumerate(rules)],
        },
        needs=[*front, *resources, *(key for endpoint in endpoints for key in route_needs(endpoint))],
        annotations={**annotations, **inputs.route_annotations},
        revision=revised,
    )
    return resources


def _rule_of(route: str, index: int) -> dict[str, str]:
    """The target of a policy: the whole route, or one rule after the first, which has its own policy alone."""
    return {**reference("HTTPRoute", route), **({"sectionName": _rule_name(index)} if index else {})}


def _rule_name(index: int) -> str:
    return f"residency-{index}" if index else "model"


def _rule(
    inputs: Inputs, group: Group, callers: Mapping[str, Caller], index: int, planned: Mapping[str, Any]
) -> dict[str, Any]:
    """Its match has the model first, where the patch of a cut-over looks for it; what is `planned` every host gets."""
    model = group.model.name
    of_model = {"type": "Exact", "name": _UNLISTED if index else MODEL_HEADER, "value": model}
    of_tenants = [called_by(callers[name] for name in group.tenants)] if group.tenants else []
    return {
        "name": _rule_name(index),
        "matches": [{"headers": [of_model, *of_tenants]}],
        "backendRefs": [
            {
                "name": object_name(target.host, model),
                "modelNameOverride": inputs.by_target[target.host, model].model_id,
                "weight": target.weight,
                "priority": target.priority,
                **planned,
            }
            for target in sorted(group.model.targets, key=lambda target: target.host)
        ],
        "timeouts": {"request": "0s"},
        "streamIdleTimeout": duration(inputs.plan.request_settings.idle_timeout),
        "modelsOwnedBy": "corral",
    }


def _traffic(model: ModelPlan, hosts: tuple[str, ...], settings: RequestSettings) -> dict[str, Any]:
    per_priority, retries = failover.retries_by_priority(model, hosts)
    back_off = {
        "baseInterval": duration(failover.BACK_OFF_MILLISECONDS),
        "maxInterval": duration(failover.MAX_BACK_OFF_MILLISECONDS),
    }
    return {
        "retry": {
            "numRetries": retries,
            "numAttemptsPerPriority": per_priority,
            "retryOn": {"triggers": list(failover.RETRY_ON), "httpStatusCodes": failover.retried_status(len(hosts))},
            "perRetry": {"backOff": back_off},
        },
        "healthCheck": {
            "passive": {
                "consecutive5XxErrors": 0,  # none of them, as 500 is among them
                "consecutiveGatewayErrors": failover.CONSECUTIVE_FAILURES,
                "interval": duration(failover.EJECTION_INTERVAL_MILLISECONDS),
                "baseEjectionTime": duration(settings.ejection_time),
                "maxEjectionPercent": failover.MAX_EJECTION_PERCENT,
            },
            "panicThreshold": failover.PANIC_PERCENT,
        },
        "circuitBreaker": dict.fromkeys(_BREAKERS, failover.UNBOUNDED),
        "timeout": {
            "tcp": {"connectTimeout": duration(settings.connect_timeout)},
            "http": {"streamIdleTimeout": duration(failover.SILENT_ATTEMPTS * settings.idle_timeout)},
        },
        "tcpKeepalive": keep_alive(failover.HOST_KEEP_ALIVE),
    }
