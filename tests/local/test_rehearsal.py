"""The example stacks, rehearsed: the hosts, weights and ids of a deployment, with every host simulated."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import httpx
import pytest
import yaml

from corral.local.state_folder import StateFolder
from tests.local.gateway import serving

EXAMPLES = sorted((Path(__file__).parents[1] / "stacks" / "examples").glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_stack_is_rehearsed_with_its_shares_and_its_hosts_own_ids(file: Path, project: Path) -> None:
    with serving(project, yaml.safe_load(file.read_text())["config"], "--simulate") as gateway:
        plan = json.loads(gateway.run("plan", "--json").stdout)["plan"]
        keys = StateFolder.of(project, "test").read_generated_keys()
        with httpx.Client(headers=[("authorization", f"Bearer {key}") for key in keys.values()]) as client:
            for model in plan["models"]:
                body = {"model": model["name"], "messages": [{"role": "user", "content": "x"}]}
                answers = [client.post(f"{gateway.url}/chat/completions", json=body) for _ in range(100)]
                assert {answer.status_code for answer in answers} == {200}
                ids = {target["host"]: target["modelId"] for target in model["targets"]}
                shares = {target["host"]: target["share"] for target in model["targets"] if target["share"]}
                seen = Counter(answer.headers["x-corral-host"] for answer in answers)
                assert seen.keys() == shares.keys()
                assert all(abs(seen[host] - share) <= 20 for host, share in shares.items()), (seen, shares)
                host_models = {
                    answer.headers["x-corral-host"]: answer.headers["x-corral-host-model"] for answer in answers
                }
                assert host_models == {host: ids[host] for host in shares}
                assert {answer.json()["model"] for answer in answers} == {model["name"]}
