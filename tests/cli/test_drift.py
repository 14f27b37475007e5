from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Corral

KUBERNETES = """\
config:
  corral:engine: {kind: kubernetes}
  corral:cluster: {kubeconfig: kind.yaml}
  corral:hosts: {deepinfra: {}}
  corral:models:
    llama-3.3-70b: {shares: {deepinfra: 100}}
"""

ROUTE = "kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute"
URN = f"urn:pulumi:prod::corral::corral:gateway:Gateway${ROUTE}::gateway-route/llama-3.3-70b/1"


def weighing(weight: int) -> dict[str, Any]:
    metadata = {"name": "llama-1", "annotations": {"corral/model": "llama-3.3-70b"}}
    spec = {"rules": [{"backendRefs": [{"name": "deepinfra-1", "weight": weight}]}]}
    return {"type": ROUTE, "custom": True, "inputs": {"kind": "AIGatewayRoute", "metadata": metadata, "spec": spec}}


def digest(declared: int, deployed: int, observed: int) -> str:
    op = "same" if declared == observed else "update"
    steps = [
        {"op": "refresh", "urn": URN, "oldState": weighing(deployed), "newState": weighing(deployed)},
        {"op": op, "urn": URN, "oldState": weighing(observed), "newState": weighing(declared)},
    ]
    return json.dumps({"steps": steps, "diagnostics": []})


@pytest.fixture
def pulumi(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is called in the place of Pulumi, with its answer in `answer.json` and its status in `status`."""
    (project / "stacks" / "Pulumi.prod.yaml").write_text(KUBERNETES)
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        status = int((project / "status").read_text())
        return subprocess.CompletedProcess(command, status, (project / "answer.json").read_text(), "no login")

    monkeypatch.setattr("corral.cli.drift.subprocess.run", run)
    return calls


def answering(project: Path, answer: str, status: int = 0) -> None:
    (project / "answer.json").write_text(answer)
    (project / "status").write_text(str(status))


def test_a_stack_that_is_as_it_was_declared(project: Path, corral: Corral, pulumi: list[list[str]]):
    answering(project, digest(100, 100, 100))
    assert corral("drift", "--stack", "prod") == (
        0,
        "Stack prod: declared, deployed and observed are alike.\n",
        "",
    )
    assert pulumi == [
        ["pulumi", "preview", "--refresh", "--show-sames", "--json", "--non-interactive", "--stack", "prod"]
    ]


@pytest.mark.usefixtures("pulumi")
def test_a_weight_that_was_changed_on_the_cluster_and_an_edit_that_was_not_deployed(project: Path, corral: Corral):
    answering(project, digest(declared=60, deployed=60, observed=5))
    status, out, _ = corral("drift", "--stack", "prod")
    assert status == 1
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["RESOURCE", "PROPERTY", "DECLARED", "DEPLOYED", "OBSERVED"],
        ["route", "of", "llama-3.3-70b", "weight", "of", "deepinfra-1", "60", "60", "5"],
    ]
    assert out.endswith("\nWhat is observed is not what was deployed: `pulumi up --refresh -s prod` mends it.\n")

    answering(project, digest(declared=60, deployed=50, observed=50))
    status, out, _ = corral("drift", "--stack", "prod")
    assert status == 1
    assert out.endswith("\nWhat is declared was not deployed: `pulumi up -s prod` brings it into force.\n")


@pytest.mark.usefixtures("pulumi")
def test_it_is_there_for_programs_too(project: Path, corral: Corral):
    answering(project, digest(60, 60, 5))
    status, out, _ = corral("drift", "--stack", "prod", "--json")
    want = {"resource": "route of llama-3.3-70b", "property": "weight of deepinfra-1"}
    assert (status, json.loads(out)) == (1, [{**want, "declared": 60, "deployed": 60, "observed": 5}])


@pytest.mark.usefixtures("pulumi")
@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (
            json.dumps({"steps": [], "diagnostics": [{"severity": "error", "message": "no cluster\n"}] * 2}),
            "no cluster\n",
        ),
        ("", "no login\n"),
    ],
    ids=["with a reason", "without one"],
)
def test_what_cannot_be_read_is_neither_alike_nor_different(answer: str, want: str, project: Path, corral: Corral):
    answering(project, answer, status=255)
    assert corral("drift", "--stack", "prod") == (2, "", want)


@pytest.mark.usefixtures("project")
def test_a_stack_of_one_machine_has_another_verb(corral: Corral):
    assert corral("drift", "--stack", "local") == (
        2,
        "",
        "Stack local is served on one machine: corral status --stack local compares it.\n",
    )


def test_pulumi_that_is_not_there(project: Path, corral: Corral, monkeypatch: pytest.MonkeyPatch):
    (project / "stacks" / "Pulumi.prod.yaml").write_text(KUBERNETES)

    def absent(*_: Any, **__: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("corral.cli.drift.subprocess.run", absent)
    assert corral("drift", "--stack", "prod") == (
        2,
        "",
        "There is no pulumi on PATH: https://www.pulumi.com/docs/install/\n",
    )
