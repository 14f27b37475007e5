"""Which model fits on which GPUs, on how many of them a server runs, and how many servers there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.catalog.load import load_catalog
from corral.config.hosts import Gpus
from corral.plan.gpu_fit import CONTEXT, LEAST_CONTEXT, concurrent, fit
from corral.plan.gpus import Fit, Misfit
from corral.plan.plan import Load
from tests.plan.world import LLAMA, build

CATALOG = load_catalog()

FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
BF16 = "meta-llama/Llama-3.3-70B-Instruct"


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    weights: str
    gpus: dict[str, Any]
    want: Fit | Misfit
    context: int | None = None
    models: int = 1
    alone: bool = False


def on(instance: str, least: int = 1, most: int = 1, **more: Any) -> dict[str, Any]:
    return {"instance": instance, "min": least, "max": most, **more}


CASES = [
    Case("8B on the smallest", "llama-3.1-8b", "x", on("g6.xlarge"), Fit("g6.xlarge", 1, 1, 23_552, 1, 1)),
    Case("8B whole", "llama-3.1-8b", "x", on("g6e.xlarge"), Fit("g6e.xlarge", 1, 1, CONTEXT, 1, 1)),
    Case(
        "70B in FP8 on four small GPUs for the sake of its context",
        LLAMA,
        FP8,
        on("g6e.12xlarge", 1, 4),
        Fit("g6e.12xlarge", 4, 4, CONTEXT, 1, 4),
    ),
    Case("70B in FP8 on one large GPU", LLAMA, FP8, on("g7e.2xlarge"), Fit("g7e.2xlarge", 1, 1, 18_432, 1, 1)),
    Case("70B in FP8 on two of them", LLAMA, FP8, on("g7e.12xlarge"), Fit("g7e.12xlarge", 2, 2, CONTEXT, 1, 1)),
    Case("70B in BF16 on two", LLAMA, BF16, on("g7e.12xlarge"), Fit("g7e.12xlarge", 2, 2, 36_864, 1, 1)),
    Case("70B in BF16 on eight small ones", LLAMA, BF16, on("g6e.48xlarge"), Fit("g6e.48xlarge", 8, 8, CONTEXT, 1, 1)),
    Case("70B in BF16, two servers a node", LLAMA, BF16, on("p5.48xlarge"), Fit("p5.48xlarge", 8, 4, CONTEXT, 2, 2)),
    Case("Scout in FP8", "llama-4-scout", "Scout-FP8", on("g7e.12xlarge"), Fit("g7e.12xlarge", 2, 2, CONTEXT, 1, 1)),
    Case("Scout in four bits", "llama-4-scout", "Scout-w4a16", on("p5.4xlarge"), Fit("p5.4xlarge", 1, 1, 48_128, 1, 1)),
    Case(
        "70B in FP8 on either of two types",
        LLAMA,
        FP8,
        on("g6e.12xlarge", 1, 4, alternatives=["g6e.24xlarge"]),
        Fit("g6e.12xlarge", 4, 4, CONTEXT, 1, 4),
    ),
    Case(
        "8B with the context of the smaller one",
        "llama-3.1-8b",
        "x",
        on("g6e.xlarge", 1, 1, alternatives=["g6.xlarge"]),
        Fit("g6e.xlarge", 1, 1, 23_552, 1, 1),
    ),
    Case(
        "70B in FP8 on types of which a server takes different numbers",
        LLAMA,
        FP8,
        on("g6e.12xlarge", 1, 4, alternatives=["g7e.12xlarge"]),
        Misfit(
            f"a server of {LLAMA} takes 4 of 4 GPUs on g6e.12xlarge and 2 of 2 on g7e.12xlarge, and all servers of a "
            "model are alike",
            "leave g7e.12xlarge out of corral:hosts.vllm.gpus.alternatives, or give it a host of its own",
        ),
    ),
    Case(
        "Maverick in FP8 across a node",
        "llama-4-maverick",
        "Maverick-FP8",
        on("p5.48xlarge"),
        Fit("p5.48xlarge", 8, 8, CONTEXT, 1, 1),
    ),
    Case(
        "Maverick with the context that was asked for",
        "llama-4-maverick",
        "Maverick-FP8",
        on("p5.48xlarge"),
        Fit("p5.48xlarge", 8, 8, 500_000, 1, 1),
        context=500_000,
    ),
    Case(
        "405B in FP8 across a node",
        "llama-3.1-405b",
        "x-FP8",
        on("p5.48xlarge"),
        Fit("p5.48xlarge", 8, 8, CONTEXT, 1, 1),
    ),
    Case(
        "405B in BF16 says what it needs",
        "llama-3.1-405b",
        "meta-llama/Llama-3.1-405B-Instruct",
        on("p5.48xlarge"),
        Misfit(
            "llama-3.1-405b takes 810 GB of weights (405,000 million parameters, 16 bits each: "
            "meta-llama/Llama-3.1-405B-Instruct) and 4.2 GB of cache for 8,192 tokens, 814 GB together; 8 GPUs of "
            "p5.48xlarge with 80 GB each have 512 GB for both, after a fifth for the driver and activations",
            "take p5en.48xlarge, p6-b200.48xlarge or p6-b300.48xlarge, or take weights of 8 bits (405 GB), which have "
            "FP8 in their name",
        ),
    ),
    Case(
        "70B in FP8 on a GPU that holds little more than its weights",
        LLAMA,
        FP8,
        on("p5.4xlarge"),
        Misfit(
            "llama-3.3-70b takes 71 GB of weights (70,600 million parameters, 8 bits each: "
            f"{FP8}) and 2.7 GB of cache for 8,192 tokens, 73 GB together; 1 GPU of p5.4xlarge with 80 GB each has "
            "64 GB for both, after a fifth for the driver and activations",
            "take g7e.2xlarge, g7e.4xlarge or g7e.8xlarge",
        ),
    ),
    Case(
        "more context than there is room for",
        LLAMA,
        FP8,
        on("g7e.2xlarge"),
        Misfit(
            "llama-3.3-70b takes 71 GB of weights (70,600 million parameters, 8 bits each: "
            f"{FP8}) and 21 GB of cache for 65,536 tokens, 92 GB together; 1 GPU of g7e.2xlarge with 96 GB each has "
            "77 GB for both, after a fifth for the driver and activations",
            "take g7e.12xlarge, g6e.12xlarge or g6e.24xlarge, or ask for less context: "
            "corral:hosts.vllm.models.llama-3.3-70b.context",
        ),
        context=65_536,
    ),
    Case(
        "GPUs of one's own",
        LLAMA,
        FP8,
        on("dgx", count=8, memory="80Gi"),
        Fit("dgx", 8, 2, CONTEXT, 4, 4),
    ),
    Case(
        "GPUs that nobody knows",
        LLAMA,
        FP8,
        on("dgx"),
        Misfit(
            "the GPUs of dgx are not known",
            "say how many a node has and how much memory each has (corral:hosts.vllm.gpus.count and .memory), or take "
            "an instance type that the catalog knows",
        ),
    ),
    Case(
        "a model that nobody knows",
        "acme",
        "acme/own",
        on("g6e.12xlarge"),
        Misfit("the size of acme is not known", "say how many GPUs a server has: corral:hosts.vllm.gpus.parallel"),
    ),
    Case(
        "a model that nobody knows, laid out by the stack",
        "acme",
        "acme/own",
        on("g6e.12xlarge", parallel=2),
        Fit("g6e.12xlarge", 4, 2, None, 2, 2),
    ),
    Case(
        "more GPUs for a server than a node has",
        LLAMA,
        FP8,
        on("g6e.12xlarge", parallel=8),
        Misfit(
            "a server is to have 8 GPUs and g6e.12xlarge has 4",
            "lower corral:hosts.vllm.gpus.parallel or take larger nodes",
        ),
    ),
    Case(
        "heads that cannot be divided",
        LLAMA,
        FP8,
        on("g6e.12xlarge", parallel=3),
        Misfit(
            "the 64 attention heads of llama-3.3-70b cannot be divided among 3 GPUs",
            "set corral:hosts.vllm.gpus.parallel to 1, 2, 4 or 8",
        ),
    ),
    Case(
        "models that share nodes",
        LLAMA,
        FP8,
        on("g6e.12xlarge", 2, 4),
        Fit("g6e.12xlarge", 4, 4, CONTEXT, 1, 2),
        models=2,
    ),
    Case(
        "more models than nodes",
        LLAMA,
        FP8,
        on("g6e.12xlarge", 1, 2),
        Misfit(
            "a server of llama-3.3-70b takes 4 GPUs; 2 × g6e.12xlarge has 8 GPUs for 3 models",
            "set corral:hosts.vllm.gpus.max to 3 at least, or give llama-3.3-70b a host of its own",
        ),
        models=3,
    ),
    Case("asleep", LLAMA, FP8, on("g6e.12xlarge", 0, 2), Fit("g6e.12xlarge", 4, 4, CONTEXT, 0, 2)),
    Case("alone and awake", LLAMA, FP8, on("g6e.12xlarge", 0, 2), Fit("g6e.12xlarge", 4, 4, CONTEXT, 1, 2), alone=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_model_on_gpus(case: Case) -> None:
    gpus = Gpus.model_validate(case.gpus)
    got = fit(case.model, case.weights, case.context, "vllm", gpus, CATALOG, models=case.models, alone=case.alone)
    assert (replace(got, cache=None) if isinstance(got, Fit) else got) == case.want


@pytest.mark.parametrize(
    ("instance", "peak", "cache", "want"),
    [
        ("g6e.12xlarge", None, 253_292, 4),
        ("g6e.12xlarge", Load(requests=600), 253_292, 4),
        ("g6e.12xlarge", Load(requests=600, tokens=1_200_000), 253_292, 4 * 126),
        ("g6e.12xlarge", Load(requests=600, tokens=300_000), 253_292, 4 * 128),
        ("g7e.2xlarge", None, 18_919, 4),
    ],
)
def test_servers_work_on_as_many_requests_as_their_cache_holds_128_at_most(
    instance: str, peak: Load | None, cache: int, want: int
) -> None:
    gpus = Gpus.model_validate(on(instance, 4, 4))
    fitted = fit(LLAMA, FP8, None, "vllm", gpus, CATALOG, models=1, alone=True)
    assert isinstance(fitted, Fit)
    assert (fitted.cache, concurrent(fitted, peak)) == (cache, want)


@given(
    model=st.sampled_from([name for name, family in CATALOG.models.items() if family.shape]),
    weights=st.sampled_from(["x", "x-FP8", "x-w4a16"]),
    instance=st.sampled_from([name for gpu in CATALOG.gpus.values() for name in gpu.instances]),
    least=st.integers(0, 3),
    more=st.integers(0, 3),
    models=st.integers(1, 4),
)
def test_a_fit_stays_within_its_nodes(model: str, weights: str, instance: str, least: int, more: int, models: int):
    gpus = Gpus(instance=instance, min=least, max=max(1, least + more))
    got = fit(model, weights, None, "vllm", gpus, CATALOG, models=models, alone=False)
    if isinstance(got, Fit):
        assert got.gpus <= got.node
        assert got.node % got.gpus == 0
        assert got.gpus * got.most * models <= got.node * gpus.max
        assert 0 <= got.least <= got.most
        assert LEAST_CONTEXT <= (got.context or 0) <= CONTEXT


def target(vllm: dict[str, Any], others: dict[str, Any] | None = None, **said: Any) -> Fit | Misfit | None:
    plan = build(
        {LLAMA: {"shares": {"vllm": 60, "lab": 40}} | said},
        {"vllm": {"modelWeights": {LLAMA: "acme/own"}, **vllm}, **(others or {})},
    )
    return next(each.fit for each in plan.models[0].targets if each.host == "vllm")


NODES = {"instance": "dgx", "count": 8, "memory": 80 * 2**30, "parallel": 4, "min": 0, "max": 1}


def test_a_plan_says_how_a_model_lies_on_the_gpus_that_the_stack_provisions():
    assert target({"gpus": NODES}) == Fit("dgx", 8, 4, None, 1, 2)


def test_a_context_of_the_stack_is_that_of_the_server():
    assert target({"gpus": NODES, "models": {LLAMA: {"context": 4_096}}}) == Fit("dgx", 8, 4, 4_096, 1, 2)


@pytest.mark.parametrize(
    ("said", "least"),
    [
        ({"shares": {"vllm": 60, "lab": 40}}, 1),
        ({"shares": {"vllm": 100, "lab": 0}}, 1),
        ({"shares": {"vllm": 100}, "fallback": ["lab"]}, 0),
        ({"shares": {"vllm": 0, "lab": 100}}, 1),
        ({"shares": {"lab": 100}, "fallback": ["vllm"]}, 0),
        ({"shares": {"vllm": 100}, "fallback": ["other"]}, 1),
    ],
    ids=["sharing", "the other drained", "with a fallback", "drained", "a fallback", "with a fallback that may sleep"],
)
def test_a_model_sleeps_only_where_another_host_is_awake_whatever_the_shares(said: dict[str, Any], least: int):
    other = {"kind": "vllm", "modelWeights": {LLAMA: "acme/own"}, "gpus": NODES}
    assert target({"gpus": NODES}, {"other": other}, **said) == Fit("dgx", 8, 4, None, least, 2)


@pytest.mark.parametrize("host", [{"url": "https://vllm.example.com/v1", "gpus": NODES}, {}], ids=["a URL", "no GPUs"])
def test_what_the_stack_does_not_provision_is_not_fitted(host: dict[str, Any]):
    assert target(host) is None


def test_a_host_that_is_to_be_provisioned_needs_weights():
    assert target({"modelWeights": {}, "models": {LLAMA: "house"}, "gpus": NODES}) == Misfit(
        f"there are no weights of {LLAMA} for vllm to load",
        f"give them, corral:hosts.vllm.modelWeights.{LLAMA}, or say where vllm runs already, corral:hosts.vllm.url",
    )
