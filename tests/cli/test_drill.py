from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path

import pytest
from rich.console import Console

from corral.cli import drill_on_cluster
from corral.cli.project import load_servable
from corral.config.cluster import KubeconfigCluster
from corral.gateway.drill import Kubectl
from corral.local.drill.on_cluster import prepare
from corral.local.drill.script import script_on_cluster
from corral.plan.plan import Plan
from tests.cli.conftest import Corral

KIND = """
config:
  corral:engine: {kind: kubernetes}
  corral:cluster: {kubeconfig: nowhere.yaml}
  corral:hosts: {deepinfra: {}, together: {}}
  corral:models: {llama-3.3-70b: {shares: {deepinfra: 60, together: 40}}}
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--short", "--minutes", "2"), "it is this or --short, not both"),
        (("--minutes", "0"), "greater than or equal to 0.2"),
        (("--json", "nowhere/report.json"), "nowhere is no folder: make it, or name a file elsewhere"),
        (("--json", "stacks"), "stacks is a folder: name a file in it"),
        (("--stack", "prd"), "there is no stack prd: did you mean prod?"),
        (("--image", "registry.example.com/corral-drill"), "it is for a drill with --on-cluster"),
    ],
)
@pytest.mark.usefixtures("project")
def test_bad_use_is_said_before_anything_is_begun(corral: Corral, arguments: tuple[str, ...], message: str):
    said = corral("drill", *arguments)
    assert (said.status, said.out) == (2, "")
    assert message in " ".join(said.err.replace("│", " ").split())


def test_a_stack_that_is_refused_is_not_drilled(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        "config:\n  corral:hosts: {groq: {}}\n  corral:models: {llama-4-scout: {shares: {groq: 100}}}\n"
    )
    said = corral("drill")
    assert (said.status, said.out) == (1, "")
    assert "error lifecycle/llama-4-scout/groq" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Stack local is for the local engine: drill it without --on-cluster."),
        (("--stack", "eks"), "Stack eks makes its cluster on EKS: name a kubeconfig that leads there"),
        (("--stack", "kind"), "there is no kubeconfig"),
        (("--stack", "kind", "--kubeconfig", "reached.yaml"), "Build it from a checkout of Corral, and name it"),
    ],
)
def test_a_drill_on_a_cluster_says_what_it_lacks_before_anything_is_made(
    corral: Corral, project: Path, arguments: tuple[str, ...], message: str
):
    (project / "stacks" / "Pulumi.kind.yaml").write_text(KIND)
    new_cluster = KIND.replace("{kubeconfig: nowhere.yaml}", "{publicFrom: [203.0.113.0/24]}\n  aws:region: us-east-1")
    (project / "stacks" / "Pulumi.eks.yaml").write_text(new_cluster)
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster = {"name": "kind", "cluster": {"server": f"http://127.0.0.1:{server.getsockname()[1]}"}}
        contexts = [{"name": "kind", "context": {"cluster": "kind"}}]
        config = {"current-context": "kind", "contexts": contexts, "clusters": [cluster]}
        (project / "reached.yaml").write_text(json.dumps(config))
        said = corral("drill", "--on-cluster", *arguments)
    assert (said.status, said.out) == (1, "")
    assert message in said.err


class Deployment:
    """In the place of Pulumi: `up` takes until it is let go."""

    begun, let_go, ended = threading.Event(), threading.Event(), threading.Event()

    def __init__(self, *_: object) -> None:
        pass

    def up(self, _plan: Plan) -> None:
        self.begun.set()
        self.let_go.wait()
        self.ended.set()


def test_what_a_drill_makes_on_a_cluster_is_removed_when_it_is_interrupted(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    removed: list[bool] = []

    def remove(_: Kubectl) -> bool:
        removed.append(Deployment.ended.is_set())
        return False

    monkeypatch.setattr(drill_on_cluster, "DrillDeployment", Deployment)
    monkeypatch.setattr(drill_on_cluster, "remove", remove)
    file = project / "stacks" / "Pulumi.kind.yaml"
    file.write_text(KIND)
    plan = load_servable(file).plan

    async def interrupted() -> None:
        cluster = KubeconfigCluster(kubeconfig="/nowhere/kubeconfig")
        prepared = prepare(plan, script_on_cluster(plan))
        async with drill_on_cluster.deployed(file, cluster, "image", prepared, Console(quiet=True)):
            raise AssertionError("it is interrupted before")

    async def interrupting() -> None:
        work = asyncio.create_task(interrupted())
        await asyncio.to_thread(Deployment.begun.wait)
        work.cancel()
        await asyncio.sleep(0)
        assert removed == [False], "the leftovers of an earlier one, and not before Pulumi has ended"
        Deployment.let_go.set()
        await asyncio.wait({work})
        assert work.cancelled()

    asyncio.run(interrupting())
    assert removed == [False, True]
