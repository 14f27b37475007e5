"""`corral drift`, by a real engine's own account of what was deployed and what is there."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pulumi_engine.project import Project

pytestmark = pytest.mark.engine


def drift(project: Project) -> tuple[int, Any]:
    """Its exit status, and what it says as JSON."""
    command = [Path(sys.prefix) / "bin" / "corral", "drift", "--stack", project.stack, "--json"]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, check=False, capture_output=True, text=True
    )
    return done.returncode, json.loads(done.stdout)


def test_a_weight_that_somebody_changed_on_the_cluster_is_all_that_has_drifted(
    project: Callable[[str], Project],
) -> None:
    there = project("kind")
    (route,) = (thing for thing in there.things() if thing.kind == "AIGatewayRoute")
    changed: dict[str, Any] = copy.deepcopy(dict(route.outputs))
    (vllm,) = (ref for ref in changed["spec"]["rules"][0]["backendRefs"] if ref["name"].startswith("vllm-"))
    vllm["weight"] = 5
    there.store.put(replace(route, outputs=changed))

    weight = {"resource": "route of llama-3.3-70b", "property": "weight of vllm"}
    assert drift(there) == (1, [{**weight, "declared": 90, "deployed": 90, "observed": 5}])
