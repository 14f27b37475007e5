from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from corral.plan import build as planning
from corral.plan.build import Built
from corral.plan.plan import ModelPlan, Plan, RequestSettings, Target, Unserved
from tests.plan.world import (
    AZURE,
    BEDROCK,
    CATALOG,
    DEEPINFRA,
    HOSTS,
    LAB,
    LLAMA,
    NODES,
    PRICES,
    SCOUT,
    VLLM,
    build,
    model,
    stack,
)

SERVED_BY = ("azure", "bedrock", "deepinfra", "vllm")

SHARED = ModelPlan(
    name=LLAMA,
    targets=(BEDROCK,),
    unserved=(),
    residency=None,
    allowed_regions=None,
    volume=None,
    repeated=(),
    served_by=SERVED_BY,
)


def at(target: Target, *, share: int = 0, weight: int | None = None, priority: int = 0) -> Target:
    return replace(target, share=share, weight=share if weight is None else weight, priority=priority)


META_WITH_SHARE = Unserved(
    host="meta",
    role="share",
    share=40,
    why="Meta serves no Llama itself",
    placeholder=True,
    keys=("corral:hosts.meta.url", f"corral:hosts.meta.models.{LLAMA}"),
    kind="meta",
)


@dataclass(frozen=True)
class Case:
    name: str
    given: Mapping[str, Any]
    want: ModelPlan


CASES = [
    Case("one host", {"shares": {"bedrock": 100}}, SHARED),
    Case(
        "shares are weights, in order of name",
        {"shares": {"vllm": 20, "bedrock": 50, "azure": 30}},
        replace(SHARED, targets=(at(AZURE, share=30), at(BEDROCK, share=50), at(VLLM, share=20))),
    ),
    Case(
        "fallbacks keep the stack's order, one priority each",
        {"shares": {"bedrock": 100}, "fallback": ["lab", "deepinfra", "azure"]},
        replace(
            SHARED,
            targets=(
                BEDROCK,
                at(LAB, weight=100, priority=1),
                at(DEEPINFRA, weight=100, priority=2),
                at(AZURE, weight=100, priority=3),
            ),
        ),
    ),
    Case(
        "a drained host keeps its place but gets no traffic",
        {"shares": {"bedrock": 100, "azure": 0}},
        replace(SHARED, targets=(at(AZURE, share=0), BEDROCK)),
    ),
    Case(
        "a drained host that is a fallback is a fallback",
        {"shares": {"bedrock": 100, "azure": 0}, "fallback": ["azure"]},
        replace(SHARED, targets=(BEDROCK, at(AZURE, weight=100, priority=1))),
    ),
    Case(
        "a fallback with a share is a target once",
        {"shares": {"bedrock": 60, "azure": 40}, "fallback": ["lab", "bedrock", "azure"]},
        replace(
            SHARED,
            targets=(at(AZURE, share=40), at(BEDROCK, share=60), at(LAB, weight=100, priority=1)),
            repeated=("azure", "bedrock"),
        ),
    ),
    Case(
        "a host that does not serve the model is no target and leaves no hole in the priorities",
        {"shares": {"bedrock": 60, "meta": 40}, "fallback": ["lab", "meta-too", "azure"]},
        replace(
            SHARED,
            targets=(at(BEDROCK, share=60), at(LAB, weight=100, priority=1), at(AZURE, weight=100, priority=2)),
            unserved=(
                META_WITH_SHARE,
                replace(
                    META_WITH_SHARE,
                    host="meta-too",
                    role="fallback",
                    share=0,
                    keys=("corral:hosts.meta-too.url", f"corral:hosts.meta-too.models.{LLAMA}"),
                ),
            ),
        ),
    ),
    Case(
        "fallbacks stay behind priority 0 though nobody with a share serves the model",
        {"shares": {"meta": 40}, "fallback": ["lab"]},
        replace(SHARED, targets=(at(LAB, weight=100, priority=1),), unserved=(META_WITH_SHARE,)),
    ),
    Case("a volume", {"shares": {"bedrock": 100}, "volume": "900M"}, replace(SHARED, volume=900_000_000)),
    Case(
        "a residency is spelled out, places and single regions",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1", "eu"]},
        replace(SHARED, residency=("eu", "us-east-1"), allowed_regions=frozenset({"eu", "eu-west-1", "us-east-1"})),
    ),
    Case(
        "a residency that names nothing known allows nothing",
        {"shares": {"bedrock": 100}, "residency": ["global"]},
        replace(SHARED, residency=("global",), allowed_regions=frozenset()),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_model_becomes_targets(case: Case) -> None:
    assert build({LLAMA: case.given}, {"meta-too": {"kind": "meta"}}).models == (case.want,)


def test_a_plan_has_its_models_in_order_of_name_and_the_settings_of_the_engine() -> None:
    plan = build(
        {SCOUT: {"shares": {"bedrock": 100}}, LLAMA: {"shares": {"bedrock": 100}}},
        engine={
            "kind": "kubernetes",
            "connectTimeout": "1s",
            "idleTimeout": "2s",
            "drainTimeout": "3s",
            "ejectionTime": "4s",
            "bodyLimit": "5Ki",
        },
        accept=["price/b/c", "parity/a/b", "price/b/c"],
    )
    assert plan == Plan(
        stack="prod",
        engine="kubernetes",
        models=(
            SHARED,
            replace(
                SHARED,
                name=SCOUT,
                targets=build({SCOUT: {"shares": {"bedrock": 100}}}).models[0].targets,
                served_by=("bedrock",),
            ),
        ),
        request_settings=RequestSettings(
            connect_timeout=1_000, idle_timeout=2_000, drain_timeout=3_000, ejection_time=4_000, body_limit=5 * 1_024
        ),
        accept=("parity/a/b", "price/b/c"),
        tenants=plan.tenants,
    )
    assert [*plan.hosts] == ["bedrock"]


def test_a_model_without_a_residency_has_the_one_of_the_stack() -> None:
    plan = build(
        {
            LLAMA: {"shares": {"bedrock": 100}},
            SCOUT: {"shares": {"bedrock": 100}, "residency": ["us-east-1"]},
        },
        residency=["eu"],
    )
    assert [(each.residency, each.allowed_regions) for each in plan.models] == [
        (("eu",), frozenset({"eu", "eu-west-1"})),
        (("us-east-1",), frozenset({"us-east-1"})),
    ]


def test_a_plan_tells_who_shares_who_stands_in_and_who_is_drained() -> None:
    planned = model({"bedrock": 100, "azure": 0}, "lab")
    assert [target.host for target in planned.sharing] == ["bedrock"]
    assert [target.host for target in planned.fallbacks] == ["lab"]
    assert {target.host: target.live for target in planned.targets} == {"azure": False, "bedrock": True, "lab": True}


TWO: dict[str, Any] = {LLAMA: {"shares": {"bedrock": 60, "azure": 40}}, SCOUT: {"shares": {"bedrock": 100}}}


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        ({}, {LLAMA, SCOUT}),
        ({"models": {**TWO, LLAMA: {"shares": {"bedrock": 50, "azure": 50}}}}, {SCOUT}),
        ({"models": {LLAMA: TWO[LLAMA]}}, {LLAMA}),
        ({"ramps": {LLAMA: {"to": {"azure": 60}}}}, {SCOUT}),
        ({"hosts": {"lab": {**HOSTS["lab"], "keyVariable": "OTHER"}}}, set()),
        ({"residency": ["us"]}, set()),
        ({"tenants": {"search": {}}}, set()),
        ({"prices": None}, set()),
        ({"hosts": {"vllm": {**HOSTS["vllm"], "gpus": NODES}}}, set()),
    ],
)
def test_a_plan_upon_a_former_one_is_the_same_and_keeps_the_models_that_nothing_has_changed_of(
    edit: dict[str, Any], kept: set[str]
):
    wanted = {"models": TWO, "prices": PRICES, **edit}
    prices = wanted.pop("prices")
    before = stack(TWO)
    former = Built(before, PRICES, planning.build(before, CATALOG, PRICES))
    after = stack(**wanted)
    plan = planning.build(after, CATALOG, prices, former)
    assert plan == planning.build(after, CATALOG, prices)
    was = {model.name: model for model in former.plan.models}
    assert {model.name for model in plan.models if was.get(model.name) is model} == kept
