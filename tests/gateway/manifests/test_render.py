"""Whole manifests, and what holds for every plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given

from corral.gateway.manifests.front import TENANTS
from corral.gateway.manifests.hosts import UntranslatedProtocolError, host_resources
from corral.gateway.manifests.render import render
from corral.gateway.names import object_name
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.plan.plan import Plan
from tests.gateway.manifests.plans import (
    ANNOTATIONS,
    API_KEY,
    CA,
    ENTRA,
    LABELS,
    SIGNED,
    STORED,
    UNREAD,
    endpoint,
    inputs,
    model,
    plan,
    plans,
    share_edits,
)

GOLDEN = Path(__file__).parent / "golden"


def rendered(plan: Plan) -> dict[str, dict[str, Any]]:
    return {key: resource.manifest for key, resource in render(inputs(plan)).items()}


def test_a_plan_with_one_model_is_rendered_whole():
    one = plan(model("llama-3.3-70b", {"azure": 60, "bedrock": 40, "drained": 0}, ["vllm"]))
    in_cluster: dict[str, Any] = {"hostname": "llama.vllm.svc.cluster.local", "port": 8000, "tls": False}
    resources = render(
        inputs(
            one,
            endpoint("azure", "llama-3.3-70b", credential=API_KEY, path="/openai/v1"),
            endpoint("bedrock", "llama-3.3-70b", **SIGNED),
            endpoint("vllm", "llama-3.3-70b", **in_cluster, credential=None),
        )
    )
    got = [{"key": key, "needs": list(resource.needs), **resource.manifest} for key, resource in resources.items()]
    assert got == list(yaml.safe_load_all((GOLDEN / "one-model.yaml").read_text()))


def specs(reached: Endpoint) -> dict[str, Any]:
    resources = host_resources(inputs(plan()), reached)
    return {resource.manifest["kind"]: resource.manifest["spec"] for resource in resources.values()}


NAME, SECRET = object_name("lab", "llama"), object_name("lab")
BACKEND = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": NAME}
SERVICE = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": NAME}
STRIPPED = {
    "headerMutation": {
        "set": [{"name": "x-corral-host", "value": "lab"}],
        "remove": ["x-corral-tenant", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
    }
}
KEY = {"secretRef": {"group": "", "kind": "Secret", "name": SECRET}}
SYSTEM = {
    "targetRefs": [BACKEND],
    "validation": {"hostname": "lab.example.com", "wellKnownCACertificates": "System"},
}


def at(port: int) -> dict[str, Any]:
    return {"endpoints": [{"fqdn": {"hostname": "lab.example.com", "port": port}}]}


@pytest.mark.parametrize(
    ("reached", "want"),
    [
        pytest.param(
            endpoint("lab", "llama"),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": BACKEND, **STRIPPED},
                "BackendSecurityPolicy": {"targetRefs": [SERVICE], "type": "APIKey", "apiKey": KEY},
            },
            id="with a bearer token",
        ),
        pytest.param(
            endpoint("lab", "llama", credential=API_KEY, path=""),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "OpenAI", "prefix": "/"}, "backendRef": BACKEND, **STRIPPED},
                "BackendSecurityPolicy": {"targetRefs": [SERVICE], "type": "AzureAPIKey", "azureAPIKey": KEY},
            },
            id="with a key in a header of its own, at the root of its URL",
        ),
        pytest.param(
            endpoint("lab", "llama", credential=ENTRA),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": BACKEND, **STRIPPED},
                "BackendSecurityPolicy": {
                    "targetRefs": [SERVICE],
                    "type": "AzureCredentials",
                    "azureCredentials": {
                        "tenantID": "a-tenant",
                        "clientID": "a-client",
                        "clientSecretRef": KEY["secretRef"],
                    },
                },
            },
            id="with tokens of Entra",
        ),
        pytest.param(
            endpoint("lab", "llama", credential=STORED),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": BACKEND, **STRIPPED},
                "ExternalSecret": {
                    "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
                    "refreshInterval": "3600s",
                    "data": [{"secretKey": "apiKey", "remoteRef": {"key": "corral/hosts", "property": "lab"}}],
                },
                "BackendSecurityPolicy": {
                    "targetRefs": [SERVICE],
                    "type": "APIKey",
                    "apiKey": {"secretRef": {**KEY["secretRef"], "name": object_name("lab", "stored")}},
                },
            },
            id="with a key from a store",
        ),
        pytest.param(
            endpoint("lab", "llama", **SIGNED | {"credential": AmbientCredential("us-west-2")}),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "AWSBedrock"}, "backendRef": BACKEND, **STRIPPED},
                "BackendSecurityPolicy": {
                    "targetRefs": [SERVICE],
                    "type": "AWSCredentials",
                    "awsCredentials": {"region": "us-west-2"},
                },
            },
            id="signed for with the gateway's own identity",
        ),
        pytest.param(
            endpoint("lab", "llama", **SIGNED | {"credential": AmbientCredential("us-west-2", UNREAD)}),
            {
                "Backend": at(443),
                "BackendTLSPolicy": SYSTEM,
                "AIServiceBackend": {"schema": {"name": "AWSBedrock"}, "backendRef": BACKEND, **STRIPPED},
                "BackendSecurityPolicy": {
                    "targetRefs": [SERVICE],
                    "type": "AWSCredentials",
                    "awsCredentials": {"region": "us-west-2", "credentialsFile": {**KEY, "profile": "default"}},
                },
            },
            id="signed for with credentials in a file",
        ),
        pytest.param(
            endpoint("lab", "llama", tls=False, port=8000, credential=None, body={"b": "2", "a": '"x"'}),
            {
                "Backend": at(8000),
                "AIServiceBackend": {
                    "schema": {"name": "OpenAI", "prefix": "/v1"},
                    "backendRef": BACKEND,
                    **STRIPPED,
                    "bodyMutation": {"set": [{"path": "a", "value": '"x"'}, {"path": "b", "value": "2"}]},
                },
            },
            id="in the cluster, with fields set in each body",
        ),
        pytest.param(
            endpoint("lab", "llama", credential=None, ca=CA),
            {
                "Backend": at(443),
                "BackendTLSPolicy": {
                    "targetRefs": [BACKEND],
                    "validation": {
                        "hostname": "lab.example.com",
                        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": SECRET}],
                    },
                },
                "AIServiceBackend": {"schema": {"name": "OpenAI", "prefix": "/v1"}, "backendRef": BACKEND, **STRIPPED},
            },
            id="with an authority of its own",
        ),
    ],
)
def test_a_host_is_rendered_whole(reached: Endpoint, want: dict[str, Any]):
    assert specs(reached) == want


def test_a_host_that_nobody_translates_is_refused_with_the_way_out():
    with pytest.raises(UntranslatedProtocolError) as refused:
        host_resources(inputs(plan()), endpoint("replicate", "llama", protocol="replicate"))
    assert str(refused.value) == (
        "host replicate speaks replicate, which the gateway does not translate: put something that speaks OpenAI in "
        "front of it and declare that under corral:hosts, with `kind: openai` and its url"
    )


@pytest.mark.parametrize(
    ("shares", "fallback", "want"),
    [
        ({"a": 100}, [], (1, 1)),
        ({"a": 100}, ["b"], (1, 1)),
        ({"a": 100}, ["b", "c"], (1, 2)),
        ({"a": 60, "b": 40}, [], (2, 8)),
        ({"a": 100, "b": 0}, [], (2, 8)),
        ({"a": 50, "b": 30, "c": 20}, [], (3, 9)),
        ({"a": 60, "b": 40}, ["c"], (2, 2)),
        ({"a": 100, "b": 0}, ["c"], (2, 2)),
        ({"a": 50, "b": 30, "c": 20}, ["d", "e"], (3, 6)),
    ],
)
def test_every_sharing_host_is_tried_before_a_fallback_and_every_fallback_is_reached(
    shares: dict[str, int], fallback: list[str], want: tuple[int, int]
):
    retry = rendered(plan(model("llama", shares, fallback)))["retries/llama"]["spec"]["retry"]
    assert (retry["numAttemptsPerPriority"], retry["numRetries"]) == want


@given(edit=share_edits())
def test_a_share_edit_changes_the_route_of_its_model_and_nothing_else(edit: tuple[Plan, Plan, str]):
    before, after, edited = edit
    was, now = rendered(before), rendered(after)
    changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    assert changed == ([] if before == after else [f"route/{edited}"])


ROUTE_NAMES = {
    "the same": (model("llama", {"a": 60, "b": 40}, ["c"]), LABELS, ANNOTATIONS),
    "other shares": (model("llama", {"a": 0, "b": 100}, ["c"]), LABELS, ANNOTATIONS),
    "other roles": (model("llama", {"c": 100}, ["b", "a"]), LABELS, ANNOTATIONS),
    "a host more": (model("llama", {"a": 60, "b": 40, "d": 0}, ["c"]), LABELS, ANNOTATIONS),
    "a host less": (model("llama", {"a": 100}, ["c"]), LABELS, ANNOTATIONS),
    "another host": (model("llama", {"a": 60, "b": 40}, ["d"]), LABELS, ANNOTATIONS),
    "another label": (model("llama", {"a": 60, "b": 40}, ["c"]), {"stack": "other"}, ANNOTATIONS),
    "another annotation": (model("llama", {"a": 60, "b": 40}, ["c"]), LABELS, {"waits": "for nothing"}),
    "another model": (model("scout", {"a": 60, "b": 40}, ["c"]), LABELS, ANNOTATIONS),
}


def test_a_route_keeps_its_name_as_long_as_its_hosts_its_labels_and_its_annotations_stay():
    names: dict[str, str] = {}
    for case, (one, labels, of_route) in ROUTE_NAMES.items():
        resources = render(inputs(plan(one), labels=labels, route_annotations=of_route))
        names[case] = resources[f"route/{one.name}"].manifest["metadata"]["name"]
    assert [case for case, name in names.items() if name == names["the same"]] == [
        "the same",
        "other shares",
        "other roles",
    ]
    assert len(set(names.values())) == len(names) - 2


def test_the_policy_of_a_model_and_its_patch_name_its_route():
    resources = rendered(plan(model("llama", {"a": 100})))
    name = resources["route/llama"]["metadata"]["name"]
    (patch,) = resources["succession/llama"]["spec"]["jsonPatches"]
    assert (
        resources["retries/llama"]["metadata"]["name"],
        resources["retries/llama"]["spec"]["targetRefs"][0]["name"],
        f"'httproute/corral/{name}/rule/0/match/0/*'" in patch["operation"]["jsonPath"],
    ) == (name, name, True)


@given(plan=plans())
def test_every_target_has_its_weight_and_priority_in_the_route_of_its_model(plan: Plan):
    resources = rendered(plan)
    got = {
        (one.name, ref["name"]): (ref["weight"], ref["priority"], ref["modelNameOverride"])
        for one in plan.models
        for ref in resources[f"route/{one.name}"]["spec"]["rules"][0]["backendRefs"]
    }
    assert got == {
        (one.name, object_name(to.host, one.name)): (to.weight, to.priority, f"{one.name} at {to.host}")
        for one in plan.models
        for to in one.targets
    }


def referred_to(value: object) -> list[tuple[str, str]]:
    """Kind and name of every object that a manifest names."""
    match value:
        case {"kind": str(kind), "name": str(name), "group": str()}:
            return [(kind, name)]
        case dict():
            return [named for below in cast("dict[str, Any]", value).values() for named in referred_to(below)]
        case list():
            return [named for below in cast("list[Any]", value) for named in referred_to(below)]
        case _:
            return []


@given(plan=plans())
def test_what_a_manifest_names_is_made_before_it(plan: Plan):
    resources = render(inputs(plan))
    secrets = {f"secret/{host}": ("Secret", object_name(host)) for host in plan.hosts} | {TENANTS: ("Secret", TENANTS)}
    identities = {
        key: (resource.manifest["kind"], resource.manifest["metadata"]["name"]) for key, resource in resources.items()
    }
    reachable: dict[str, set[tuple[str, str]]] = {key: {secret} for key, secret in secrets.items()}
    for key, resource in resources.items():
        before = set().union(*(reachable[need] for need in resource.needs))
        named = {to for to in referred_to(resource.manifest["spec"]) if to[0] != "HTTPRoute"}
        services = {
            ("AIServiceBackend", ref["name"])
            for rule in resource.manifest["spec"].get("rules", [])
            for ref in rule["backendRefs"]
        }
        assert (key, (named | services) - before) == (key, set())
        issued = {("Secret", name) for name in [resource.manifest["spec"].get("secretName")] if name}
        reachable[key] = before | {identities[key]} | issued


@given(plan=plans())
def test_no_two_objects_are_one(plan: Plan):
    identities = [
        (manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        for manifest in rendered(plan).values()
    ]
    assert len(set(identities)) == len(identities)


@given(plan=plans())
def test_values_that_are_not_known_yet_are_passed_on_untouched(plan: Plan):
    unread = [
        endpoint(to.host, one.name, hostname=UNREAD, model_id=UNREAD) for one in plan.models for to in one.targets
    ]
    resources = render(inputs(plan, *unread))
    untouched = [
        (
            resources[f"backend/{to.host}/{one.name}"].manifest["spec"]["endpoints"][0]["fqdn"]["hostname"] is UNREAD,
            resources[f"tls/{to.host}/{one.name}"].manifest["spec"]["validation"]["hostname"] is UNREAD,
            all(
                ref["modelNameOverride"] is UNREAD
                for ref in resources[f"route/{one.name}"].manifest["spec"]["rules"][0]["backendRefs"]
            ),
        )
        for one in plan.models
        for to in one.targets
    ]
    assert untouched == [(True, True, True)] * len(untouched)
