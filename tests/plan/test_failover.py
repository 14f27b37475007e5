"""Both engines take the same headers away from a request, and keep alike what fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corral.gateway.manifests.render import render
from corral.local.envoy.listeners import gateway
from corral.local.envoy.module import hidden_headers
from corral.local.envoy.names import Files
from corral.plan import failover
from tests.gateway.manifests.plans import inputs, model, plan, tenant

PLAN = plan(model("llama", {"lab": 60, "groq": 40}), tenants=[tenant("search", "llama")])
NO_HOST_SEES = {
    failover.TOKEN_HEADER,
    *failover.CLIENT_CREDENTIALS,
    *failover.CALLER_HEADERS,
    *failover.ADDED_BY_ENVOY,
    failover.UNCOUNTABLE,
}


def values(tree: Any, key: str) -> list[Any]:
    """What stands under the key, wherever that is."""
    if isinstance(tree, dict):
        return [*([tree[key]] if key in tree else []), *(each for part in tree.values() for each in values(part, key))]
    return [each for part in tree for each in values(part, key)] if isinstance(tree, list) else []


def test_the_local_engine_takes_all_of_the_table_away():
    listener = gateway("127.0.0.1", 0, PLAN.request_settings, Files(Path()), Path(), [], tls=False)
    removed, _ = hidden_headers().split("\n")
    assert {each["key_matcher"]["prefix"] for each in values(listener, "remove_on_match")} == {
        *failover.DROPPED_PREFIXES
    }
    assert {*removed.split()} == NO_HOST_SEES | {*failover.ADDED_BY_ENVOY_ALONE}


def test_the_kubernetes_engine_takes_away_all_but_what_envoy_keeps_from_it():
    specs = {key: resource.manifest["spec"] for key, resource in render(inputs(PLAN)).items()}
    dropped = values(specs["clients"], "removeOnMatch")[0]
    removed = {
        header for host in ("lab", "groq") for header in specs[f"service/{host}/llama"]["headerMutation"]["remove"]
    }
    assert {each["value"] for each in dropped if each["type"] == "Prefix"} == {*failover.DROPPED_PREFIXES}
    unread = {each["value"] for each in dropped if each["type"] == "Exact"}
    assert unread | removed | {failover.TOKEN_HEADER} == NO_HOST_SEES | {"x-corral-tenant"}
    assert specs["access"]["apiKeyAuth"]["sanitize"] is True
