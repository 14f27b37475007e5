from __future__ import annotations

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import fit
from tests.plan.world import LLAMA, build


def test_a_model_that_does_not_run_on_its_gpus_is_refused_even_when_drained():
    vllm = {"gpus": {"instance": "dgx", "min": 1, "max": 1}, "modelWeights": {LLAMA: "acme/own"}}
    plan = build({LLAMA: {"shares": {"lab": 100, "vllm": 0}}}, {"vllm": vllm})
    assert tuple(fit(plan)) == (
        Finding(
            "error",
            f"fit/{LLAMA}/vllm",
            "the GPUs of dgx are not known",
            "say how many a node has and how much memory each has (corral:hosts.vllm.gpus.count and .memory), or take "
            "an instance type that the catalog knows",
        ),
    )


def test_hosts_without_gpus_of_ones_own_are_not_looked_at():
    assert tuple(fit(build({LLAMA: {"shares": {"bedrock": 60, "vllm": 40}}}))) == ()
