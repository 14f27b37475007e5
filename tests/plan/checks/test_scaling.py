from __future__ import annotations

from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import scaling
from tests.plan.world import LLAMA, build

NODES = {"instance": "dgx", "count": 8, "memory": 80 * 2**30, "parallel": 4}


def found(most: int, **stack: Any) -> tuple[Finding, ...]:
    vllm = {"gpus": {**NODES, "min": 0, "max": most}, "modelWeights": {LLAMA: "acme/own"}}
    said = {"engine": {"kind": "kubernetes"}} | stack
    return tuple(scaling(build({LLAMA: {"shares": {"vllm": 60, "lab": 40}}}, {"vllm": vllm}, **said)))


def test_servers_that_nothing_counts_stay_as_many_as_they_are():
    assert found(most=2) == (
        Finding(
            "warning",
            f"scaling/{LLAMA}/vllm",
            f"vllm keeps 1 server of {LLAMA}, however many requests wait, and never has the 4 that its nodes could "
            "hold: they are not counted",
            "name the Prometheus that counts them, corral:cluster.prometheus, or lower corral:hosts.vllm.gpus.max to "
            "what is kept, or accept it",
        ),
    )


@pytest.mark.parametrize(
    "said",
    [{"cluster": {"prometheus": {"url": "http://prometheus:9090"}}}, {"engine": {"kind": "local"}}],
    ids=["counted", "on one machine"],
)
def test_nothing_is_said_where_servers_follow_the_queue_or_are_none_of_the_engines(said: dict[str, Any]):
    assert found(most=2, **said) == ()
