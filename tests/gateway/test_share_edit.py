"""The promise that shares can be moved without a thought: over stacks of all sorts, through the whole program."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from corral.testing import NEVER, World
from corral.testing.changes import Changes, changes
from tests.gateway.deployed import deploy

SERVED = {
    "llama-3.3-70b": ("azure", "bedrock", "deepinfra", "lab", "together", "vllm"),
    "llama-4-maverick": ("azure", "bedrock", "deepinfra", "lab", "vllm"),
    "house/own:v1": ("lab", "vllm"),
}
"""Per model the hosts that serve it."""

KEYS = {host: f"{NEVER}-{host}" for host in ("deepinfra", "lab", "together")}
PROMETHEUS = {"url": "http://prometheus-operated.monitoring.svc.cluster.local:9090"}


def hosts(draw: st.DrawFn) -> dict[str, Any]:
    """All of them; one that no model names is not made."""
    return {
        "azure": {"location": "eastus2", "capacity": dict.fromkeys(SERVED, 100), "allowFrom": ["203.0.113.0/24"]},
        "bedrock": draw(st.sampled_from([{}, {"costTags": {"team": "search"}}, {"guardrail": {"strength": "LOW"}}])),
        "deepinfra": {},
        "lab": {"kind": "openai", "url": "https://llm.lab.example.com/v1", "models": {name: name for name in SERVED}},
        "together": {},
        "vllm": {
            "gpus": {"instance": "p5.48xlarge", "min": draw(st.integers(0, 2)), "max": 4, "parallel": 8},
            "modelWeights": dict.fromkeys(SERVED, "acme/own-FP8"),
        },
    }


@st.composite
def shares_of(draw: st.DrawFn, sharing: Sequence[str]) -> dict[str, int]:
    """They sum to 100; some are 0."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(sharing) - 1, max_size=len(sharing) - 1)))
    return {host: high - low for host, low, high in zip(sharing, [0, *cuts], [*cuts, 100], strict=True)}


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(sorted(SERVED)), min_size=1, unique=True)):
        order = draw(st.permutations(SERVED[name]))
        sharing = draw(st.integers(1, len(order)))
        fallback = draw(st.integers(0, len(order) - sharing))
        drawn[name] = {"shares": draw(shares_of(order[:sharing])), "fallback": order[sharing : sharing + fallback]}
    return drawn


EKS = {"publicFrom": ["203.0.113.0/24"], "addons": {"keda": "present", "prometheusOperator": "present"}}


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    """The configuration of a stack on the kubernetes engine."""
    cluster: dict[str, Any] = draw(st.sampled_from([EKS, {"kubeconfig": "kind.yaml"}]))
    return {
        "aws:region": "us-east-1",
        "corral:engine": {"kind": "kubernetes"},
        "corral:cluster": cluster | draw(st.sampled_from([{}, {"prometheus": PROMETHEUS}])),
        "corral:hosts": hosts(draw),
        "corral:models": draw(models()),
    }


@st.composite
def edits(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """A stack, the same with other shares, and the models whose shares differ."""
    before = draw(stacks())
    after = copy.deepcopy(before)
    for model in after["corral:models"].values():
        if draw(st.booleans()):
            model["shares"] = draw(shares_of(list(model["shares"])))
    was, now = before["corral:models"], after["corral:models"]
    return before, after, sorted(name for name in was if was[name] != now[name])


def recorded(config: Mapping[str, Any]) -> World:
    keys = KEYS | ({"bedrock": f"[default]\n{NEVER}-bedrock"} if "kubeconfig" in config["corral:cluster"] else {})
    with tempfile.TemporaryDirectory() as folder:
        return deploy("edited", Path(folder), config, keys)


@settings(max_examples=5)  # a second for each of their two programs
@given(edits())
def test_an_edit_of_shares_updates_the_routes_of_the_models_that_move_and_nothing_else(
    edit: tuple[dict[str, Any], dict[str, Any], list[str]],
):
    before, after, moved = edit
    changed = changes(recorded(before), recorded(after))
    assert [(change.type.rpartition(":")[2], change.name.rpartition("/")[0]) for change in changed.update] == [
        ("AIGatewayRoute", f"gateway-route/{name}") for name in moved
    ]
    assert changed == Changes(update=changed.update)
