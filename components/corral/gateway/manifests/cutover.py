"""The part of a cut-over that manifests have: revisions of a route, the active one of them, and what Pulumi waits for.

Why it is done so, and until when, stands in `corral.gateway.cutover`.

Policy.  A route has its lists of hosts for life, one list for each of its rules, and its labels and annotations as
well: another of them makes another revision, a route of another name.  A patch gives every route of the model but the
active one a condition that no request meets.  A route so set aside keeps all it has and finishes what it has begun.
While a model has one route the patch finds nothing to set aside; Envoy Gateway then says in its status that it is not
programmed, and does all the rest as ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from corral.gateway.manifests.certificates import listener_names
from corral.gateway.manifests.resource import Inputs, Resource, reference
from corral.gateway.names import NAMES, object_name
from corral.hosts.naming import LABEL_LENGTH

_REVISION_DIGITS = 8

_UNMATCHED = {"name": "x-corral-nobody", "string_match": {"exact": "-"}}
"""A header that no request has: one whose name begins like this is dropped when a client sends it."""

_APPLIED = "$.metadata.managedFields[0].time"
"""When it was last changed by server-side apply: the API server puts such entries first, and Pulumi alone applies."""

_WAIT_FOR = {
    "Certificate": "condition=Ready",
    "Issuer": "condition=Ready",
    "ExternalSecret": "condition=Ready",
    "Gateway": "condition=Programmed",
    "AIServiceBackend": "condition=Accepted",
    "BackendSecurityPolicy": "condition=Accepted",
    "EnvoyPatchPolicy": "jsonpath={.status.ancestors[0].conditions"
    "[?@.type=='Programmed' && @.observedGeneration == $.metadata.generation]}",
    "AIGatewayRoute": f"jsonpath={{.status.conditions[?!(@.lastTransitionTime < {_APPLIED})]}}",
}
"""The condition that Pulumi waits for, per kind.  In a path it reads no `>=`, whose `=` it takes for the value's, and
no second `&&`, which its parser does not take (theory/jsonpath 0.9.0)."""

_TIMEOUT_SECONDS = {"Certificate": 600, "Gateway": 900}
"""The longest wait, per kind; a certificate or a load balancer may take its time."""

_OTHER_TIMEOUT_SECONDS = 180
"""The longest wait for anything else, which takes a second when all is well."""

_FINALIZED = ("AIServiceBackend", "BackendSecurityPolicy", "AIGatewayRoute")
"""Kinds that stay until Envoy AI Gateway takes its finalizer from them."""


def wait_annotations(kind: str) -> dict[str, str]:
    """Tells Pulumi what to wait for, for how long, and how to delete."""
    annotations: dict[str, str] = {}
    if kind in _WAIT_FOR:
        annotations["pulumi.com/waitFor"] = _WAIT_FOR[kind]
        annotations["pulumi.com/timeoutSeconds"] = str(_TIMEOUT_SECONDS.get(kind, _OTHER_TIMEOUT_SECONDS))
    if kind in _FINALIZED:
        annotations["pulumi.com/deletionPropagationPolicy"] = "background"
    return annotations


def revision(
    model: str, hosts: Sequence[Sequence[str]], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> str:
    """Eight digits that stand for a model's route with these lists of hosts, one for each of its rules, these labels
    and these annotations."""
    lasting = json.dumps([model, *map(list, hosts), labels, annotations], sort_keys=True)
    return sha256(lasting.encode()).hexdigest()[:_REVISION_DIGITS]


def route_name(model: str, revision: str) -> str:
    """The name of one revision of a model's route: `llama-3.3-70b`, `5be30c4e` → `llama-3-3-70b-3026a7-5be30c4e`."""
    return f"{object_name(model)[: LABEL_LENGTH - _REVISION_DIGITS - 1].rstrip('-')}-{revision}"


def clusters(model: str) -> str:
    """Envoy's clusters of a model, those of all revisions of its route, as PromQL matches them."""
    route = route_name(model, revision="[0-9a-f]{8}")
    return f'envoy_cluster_name=~"httproute/{NAMES.namespace}/{route}/rule/[0-9]+(/.*)?"'


def requests(model: str) -> str:
    """The counter of a model's requests, retries included, as PromQL selects it: it is born with the route, at 0."""
    return f"envoy_cluster_upstream_rq_total{{{clusters(model)}}}"


def patch_key(model: str) -> str:
    """The key of the patch by which the model's active route is followed; the name is in Pulumi's state."""
    return f"succession/{model}"


def patch_resource(inputs: Inputs, model: str, key: str, active: Resource) -> Resource:
    """The patch that makes a route, under this key, the model's active one.

    Envoy calls a route after the HTTPRoute, which is called as the AIGatewayRoute is, and after one of its rules.
    """
    rules = range(len(active.manifest["spec"]["rules"]))
    of_model = f"@.match.headers[0].string_match.exact == '{model}'"
    namespace = inputs.names.namespace
    others = [f"@.name != 'httproute/{namespace}/{active.name}/rule/{rule}/match/0/*'" for rule in rules]
    inactive = f"?({' && '.join([of_model, *others])})"
    spec = routes_patch(inputs, (f".routes[{inactive}].match.headers", "/-", _UNMATCHED))
    annotations = {"corral/model": model}
    return inputs.resource("EnvoyPatchPolicy", object_name(model), spec, needs=[key], annotations=annotations)


def routes_patch(inputs: Inputs, *added: tuple[str, str, Any]) -> dict[str, Any]:
    """The spec of an EnvoyPatchPolicy that adds values: where a JSONPath leads to from Envoy's virtual hosts, and below
    that under a path."""
    names = inputs.names
    patches = [
        {
            "type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": f"{names.namespace}/{names.gateway}/{listener}",
            "operation": {"op": "add", "jsonPath": f"$.virtual_hosts[*]{where}", "path": path, "value": value},
        }
        for listener in listener_names(inputs.gateway)
        for where, path, value in added
    ]
    return {"targetRef": reference("Gateway", names.gateway), "type": "JSONPatch", "jsonPatches": patches}
