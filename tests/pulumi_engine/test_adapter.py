"""A host behind the adapter, on a real engine with stand-in providers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corral.hosts.adapted.description import AdapterState
from tests.pulumi_engine.project import Project

pytestmark = pytest.mark.engine

REPLICATE = {"models": {"llama-3.3-70b": "meta/llama-3.3"}}


def _behind_the_adapter(config: dict[str, Any]) -> None:
    config["corral:gateway"] = {
        **config["corral:gateway"], "handover": "1ms", "adapterImage": "registry.example.com/corral-adapter:0.2.0"
    }  # fmt: skip
    config["corral:hosts"]["replicate"] = REPLICATE
    config["corral:models"]["llama-3.3-70b"]["fallback"] = ["replicate"]


def test_a_host_behind_the_adapter_is_served_and_another_key_of_it_changes_one_secret(
    project: Callable[[str], Project],
) -> None:
    there = project("kind")
    there.edit(_behind_the_adapter)
    there.up()
    kinds = {thing.kind for thing in there.things() if thing.name.startswith("replicate-adapter-")}
    assert kinds == {
        *("Namespace", "Secret", "ServiceAccount", "Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"),
        *("HorizontalPodAutoscaler", "RandomPassword"),
    }
    (secret,) = (thing for thing in there.things() if thing.name == "replicate-adapter-state")
    assert AdapterState.model_validate_json(secret.inputs["stringData"]["adapter.json"]).hosts[0].name == "replicate"
    assert there.preview().changes.keys() == {"same"}

    there.give_key("replicate", "sk-NEVER-2")
    outcome = there.up()
    assert outcome.changes["update"] == 1
    assert "sk-NEVER" not in outcome.text
