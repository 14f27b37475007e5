"""`corral ramp`: the edits that it makes of a stack file, and what it says where it cannot make any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corral.monitoring import observed
from corral.plan.plan import ModelPlan
from corral.plan.ramps import Observed, ObservedHost
from tests.cli.conftest import Corral

STACK = """\
config:
  corral:engine: {kind: kubernetes}
  corral:cluster: {kubeconfig: ~/.kube/config, prometheus: {url: "http://prometheus:9090"}}
  corral:hosts: {groq: {}, deepinfra: {}}
  corral:models:
    llama-3.3-70b: {shares: {groq: 100, deepinfra: 0}} # moved by a ramp
  corral:ramps:
    llama-3.3-70b: {to: {deepinfra: 30}, step: 20} # in two steps
  corral:tenants: {default: {}}
"""
MOVED = STACK.replace("{groq: 100, deepinfra: 0}", "{groq: 80, deepinfra: 20}").replace(
    "{to: {deepinfra", "{from: {deepinfra: 0, groq: 100}, to: {deepinfra"
)


@pytest.fixture
def file(project: Path) -> Path:
    file = project / "stacks" / "Pulumi.prod.yaml"
    file.write_text(STACK)
    return file


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has Prometheus know so much of DeepInfra, and of requests enough."""

    def know(attempts: int = 500, failed: int = 0) -> None:
        host = ObservedHost(attempts, failed, ejected=False, first_byte_p95=None, input_tokens=0, output_tokens=0)

        def observe(url: str, model: ModelPlan, seconds: int) -> Observed:
            assert (url, model.name, seconds) == ("http://prometheus:9090", "llama-3.3-70b", 15 * 60)
            return Observed(1_000, 0, {"deepinfra": host})

        monkeypatch.setattr(observed, "observe", observe)

    return know


def once(corral: Corral) -> str:
    said = corral("ramp", "--stack", "prod", "--once")
    assert (said.status, said.err) == (0, "")
    return said.out.partition(" ")[2].strip()


def test_once_is_one_step_and_its_edit_is_all_that_is_left_of_it(
    corral: Corral, file: Path, metrics: Callable[..., None]
):
    metrics()
    assert once(corral) == "llama-3.3-70b: on to {deepinfra: 20, groq: 80}"
    assert file.read_text() == MOVED
    metrics(attempts=100)
    assert once(corral) == "llama-3.3-70b: holds: 100 of 200 requests at deepinfra so far"
    assert file.read_text() == MOVED
    metrics(failed=6)
    why = "6 of 500 attempts at deepinfra failed, more than 1%"
    assert once(corral) == f"llama-3.3-70b: back to {{deepinfra: 0, groq: 100}}, and paused: {why}"
    paused = f"{why}, at {{deepinfra: 20, groq: 80}}"
    assert file.read_text() == MOVED.replace("{groq: 80, deepinfra: 20}}", "{groq: 100, deepinfra: 0}}").replace(
        "{from", f'{{paused: "{paused}", from'
    )
    metrics()
    assert once(corral) == f"llama-3.3-70b: it is paused: {paused}"


def test_a_stair_whose_plan_is_refused_is_not_gone_to(corral: Corral, file: Path, metrics: Callable[..., None]):
    metrics()
    vllm = "vllm: {modelWeights: {llama-3.3-70b: s3://weights}, limits: {tokensPerMinute: 10k}}"
    text = (
        STACK.replace("deepinfra: {}", vllm)
        .replace("deepinfra", "vllm")
        .replace("vllm: 0}", "vllm: 0}, peak: {tokensPerMinute: 900k}")
    )
    accepted = "  corral:accept: [lost/llama-3.3-70b/groq]\n"
    file.write_text(text.replace("groq: {}", "groq: {limits: {tokensPerMinute: 1M}}") + accepted)
    before = file.read_text()
    assert once(corral) == (
        "llama-3.3-70b: holds: {groq: 80, vllm: 20} would be refused: the hosts of llama-3.3-70b do not carry its "
        "peak: of 900,000 tokens a minute 170,000 tokens a minute are refused or waiting, after "
        "groq 720,000 tokens a minute, vllm 180,000 tokens a minute"
    )
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace('prometheus: {url: "http://prometheus:9090"}', "context: prod"),
            (
                "stacks/Pulumi.prod.yaml names no Prometheus, by whose numbers a ramp on a cluster is judged: "
                "give corral:cluster.prometheus, or --prometheus URL.\n"
            ),
        ),
        (
            lambda text: text.partition("  corral:ramps")[0],
            "stacks/Pulumi.prod.yaml has no corral:ramps: docs/ramps.md says how one is written.\n",
        ),
        (
            lambda text: text.replace("kind: kubernetes", "kind: local"),
            "Stack prod is not being served here. Start it with: corral serve --stack prod\n",
        ),
    ],
)
def test_what_a_ramp_needs_is_said(corral: Corral, file: Path, change: Callable[[str], str], message: str):
    file.write_text(change(STACK))
    assert corral("ramp", "--stack", "prod") == (1, "", message)
