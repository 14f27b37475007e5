from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.checks.findings import Finding
from corral.plan.checks.requests import parity, residency, translation
from corral.plan.checks.run import check
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, HOSTS, LLAMA, PRICES, SCOUT, TODAY, build

FULL = {
    "context": 100_000,
    "output": 8_000,
    "streaming": True,
    "tools": True,
    "toolsWhileStreaming": True,
    "vision": True,
}


@dataclass(frozen=True)
class Parity:
    """What is said where `full` shares the model, `other` stands in, and `more` is what `other` can do."""

    name: str
    more: dict[str, Any]
    lacks: str | None


PARITIES = [
    Parity("the same", FULL, None),
    Parity("more", {**FULL, "context": 200_000, "output": 9_000}, None),
    Parity("nothing known", {}, None),
    Parity("the same limit in other words", {**FULL, "context": 95_000}, None),
    Parity("less context", {**FULL, "context": 94_999}, "context 94,999 (full: 100,000)"),
    Parity("less output", {**FULL, "output": 4_000}, "output 4,000 (full: 8,000)"),
    Parity("no vision", {**FULL, "vision": False}, "no vision (full: yes)"),
    Parity("no tools while streaming", {**FULL, "toolsWhileStreaming": False}, "no tools while streaming (full: yes)"),
    Parity(
        "no tools, and none while streaming",
        {**FULL, "tools": False, "toolsWhileStreaming": False},
        "no tools (full: yes)",
    ),
    Parity(
        "no streaming, and no tools then",
        {**FULL, "streaming": False, "toolsWhileStreaming": False},
        "no streaming (full: yes)",
    ),
    Parity(
        "all of it at once",
        {"context": 8_192, "output": 1, "streaming": False, "tools": False, "vision": False},
        "context 8,192 (full: 100,000); output 1 (full: 8,000); no streaming (full: yes); no tools (full: yes); "
        "no vision (full: yes)",
    ),
]


def own(said: dict[str, Any]) -> dict[str, Any]:
    return {**HOSTS["lab"], "models": {LLAMA: {"id": "llama", **said}}}


CLUSTER = {"engine": {"kind": "kubernetes"}}
UNROUTED = ", and a cluster routes nothing by what it needs"


def less(host: str, lacks: str, way_out: str) -> Finding:
    message = f"{host} offers less for {LLAMA} than hosts that share it{UNROUTED if 'no ' in lacks else ''}: {lacks}"
    return Finding("warning", f"parity/{LLAMA}/{host}", message, f"{way_out}, or accept it if no request needs more")


@pytest.mark.parametrize("case", PARITIES, ids=lambda case: case.name)
def test_a_fallback_does_what_the_hosts_do_that_it_stands_in_for(case: Parity) -> None:
    plan = build(
        {LLAMA: {"shares": {"full": 100}, "fallback": ["other"]}},
        {"full": own(FULL), "other": own(case.more)},
        **CLUSTER,
    )
    want = (less("other", case.lacks, "let another host stand in"),) if case.lacks else ()
    assert tuple(parity(plan, TODAY)) == want


def test_a_sharing_host_is_measured_against_the_others() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 50, "azure": 30, "vllm": 20}}}, **CLUSTER)
    assert tuple(parity(plan, TODAY)) == (
        less("azure", "no tools (bedrock and vllm: yes)", "leave its share to another host"),
    )


def test_where_requests_are_routed_by_what_they_need_it_is_said_who_answers_them() -> None:
    plan = build(
        {LLAMA: {"shares": {"full": 60, "other": 25, "third": 15}, "fallback": ["lab"]}},
        {
            "full": own({"context": 100_000, "jsonMode": False, "seed": False, "embeddings": False}),
            "other": own({"context": 8_192, "embeddings": False}),
            "third": own({"output": 4_096, "embeddings": False}),
            "lab": {**HOSTS["lab"], "takes": {"embeddings": False}},
        },
    )
    note, *warnings = parity(plan, TODAY)
    assert (note.level, note.name) == ("note", f"parity/{LLAMA}")
    assert note.message == (
        f"what not every host of {LLAMA} takes goes to those that do: "
        "JSON mode, seed: other 63 %, third 37 %, then lab (40 % of shares); "
        "more than 4,096 tokens: full 71 %, other 29 %, then lab (85 % of shares)"
    )
    assert warnings == [
        less("other", "context 8,192 (full: 100,000)", "leave its share to another host"),
        less("lab", "context 8,192 (full: 100,000)", "let another host stand in"),
    ]


def test_what_only_fallbacks_and_drained_hosts_do_is_asked_of_nobody() -> None:
    plan = build(
        {LLAMA: {"shares": {"other": 100, "drained": 0}, "fallback": ["full"]}},
        {"full": own(FULL), "drained": own(FULL), "other": own({**FULL, "vision": False, "context": 1})},
        **CLUSTER,
    )
    assert tuple(parity(plan, TODAY)) == ()


def test_what_is_retired_is_no_measure_and_is_not_measured() -> None:
    gone = {"lifecycle": {"retired": "2026-11-20"}}
    plan = build(
        {LLAMA: {"shares": {"gone": 50, "other": 50}, "fallback": ["gone-too"]}},
        {"gone": own({**FULL, **gone}), "gone-too": own({"context": 1, **gone}), "other": own({"context": 2})},
        **CLUSTER,
    )
    assert tuple(parity(plan, TODAY)) == ()


@dataclass(frozen=True)
class Residency:
    name: str
    given: dict[str, Any]
    want: tuple[Finding, ...]
    model: str = LLAMA


def refused(host: str, where: str, way_out: str, *, model: str = LLAMA, allowed: str = "us") -> tuple[Finding, ...]:
    message = f"{where}; the residency of {model} is {allowed}"
    return (Finding("error", f"residency/{model}/{host}", message, way_out),)


SHARES = f"take it out of corral:models.{LLAMA}.shares"
FALLBACK = f"take it out of corral:models.{LLAMA}.fallback"

LAB_IN_US = "corral:hosts.lab.regions: [us]"
AZURE = "azure may process a request in any region of Azure, which sells Llama on global SKUs only"

RESIDENCIES = [
    Residency("nothing is asked for", {"shares": {"azure": 50, "deepinfra": 50}}, ()),
    Residency(
        "everything that can be reached is allowed", {"shares": {"bedrock": 50, "vllm": 50}, "residency": ["us"]}, ()
    ),
    Residency(
        "so it is region by region",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1", "us-east-2", "us-west-2"]},
        (),
    ),
    Residency(
        "a place that a host states is in itself",
        {"shares": {"groq": 100}, "residency": ["us"]},
        (),
    ),
    Residency(
        "and is not in single regions of it",
        {"shares": {"groq": 100}, "residency": ["us-east-1", "us-east-2", "us-west-1", "us-west-2"]},
        refused(
            "groq",
            "groq may process a request in us",
            f"{SHARES}, or allow us in the residency",
            allowed="us-east-1, us-east-2, us-west-1 and us-west-2",
        ),
    ),
    Residency(
        "a profile may process in regions that are not the called one",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1"]},
        refused(
            "bedrock",
            "bedrock may process a request in us-east-2 and us-west-2",
            f"{SHARES}, or allow us-east-2 and us-west-2 in the residency",
            allowed="us-east-1",
        ),
    ),
    Residency(
        "a fallback can be reached",
        {"shares": {"bedrock": 100}, "fallback": ["lab"], "residency": ["us"]},
        refused("lab", "lab may process a request in eu-west-1", f"{FALLBACK}, or allow eu-west-1 in the residency"),
    ),
    Residency(
        "a drained host that is a fallback can be reached",
        {"shares": {"bedrock": 100, "lab": 0}, "fallback": ["lab"], "residency": ["us"]},
        refused("lab", "lab may process a request in eu-west-1", f"{FALLBACK}, or allow eu-west-1 in the residency"),
    ),
    Residency(
        "a drained host cannot",
        {"shares": {"bedrock": 100, "lab": 0}, "residency": ["us"]},
        (),
    ),
    Residency(
        "an unknown region is a refusal",
        {"shares": {"deepinfra": 100}, "residency": ["us"]},
        refused(
            "deepinfra",
            "it is not known where deepinfra processes a request",
            f"{SHARES}, or state the regions if you know them: corral:hosts.deepinfra.models.{LLAMA}.reaches",
        ),
    ),
    Residency(
        "Azure's global SKU is a refusal wherever a region is required",
        {"shares": {"bedrock": 90, "azure": 10}, "residency": ["us", "eu"]},
        refused("azure", AZURE, SHARES, allowed="eu and us"),
    ),
    Residency(
        "each model has its own profile",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1", "us-east-2", "us-west-2"]},
        refused(
            "bedrock",
            "bedrock may process a request in us-west-1",
            f"take it out of corral:models.{SCOUT}.shares, or allow us-west-1 in the residency",
            model=SCOUT,
            allowed="us-east-1, us-east-2 and us-west-2",
        ),
        SCOUT,
    ),
]


@pytest.mark.parametrize("case", RESIDENCIES, ids=lambda case: case.name)
def test_no_request_reaches_a_region_that_is_not_allowed(case: Residency) -> None:
    assert tuple(residency(build({case.model: case.given}))) == case.want


@pytest.mark.parametrize(
    ("host", "said", "where", "way_out"),
    [
        ("azure", {"models": {LLAMA: "mine"}}, AZURE, SHARES),
        ("lab", {**HOSTS["lab"], "regions": ["global"]}, "lab may process a request anywhere", SHARES),
        (
            "lab",
            {**HOSTS["lab"], "regions": ["us-east-1", "zurich"]},
            "lab may process a request in zurich",
            f"{SHARES}, or allow zurich in the residency, or if zurich is in us, say that: {LAB_IN_US}",
        ),
    ],
)
def test_what_a_host_of_the_stack_says_of_itself_is_held_against_it(
    host: str, said: dict[str, Any], where: str, way_out: str
) -> None:
    plan = build({LLAMA: {"shares": {host: 100}, "residency": ["us"]}}, {host: said})
    assert tuple(residency(plan)) == refused(host, where, way_out)


def test_a_deployment_of_azure_whose_regions_the_stack_states_is_taken_at_its_word() -> None:
    hosts = {"azure": {"models": {LLAMA: {"id": "mine", "reaches": ["us-east-1"]}}}}
    assert tuple(residency(build({LLAMA: {"shares": {"azure": 100}, "residency": ["us"]}}, hosts))) == ()


@given(stacks())
def test_every_region_that_can_be_reached_without_an_error_is_allowed(said: dict[str, Any]) -> None:
    plan = planning.build(Stack.model_validate(said), CATALOG, PRICES)
    refused = {finding.name for finding in check(plan, TODAY) if finding.level == "error"}
    for model in plan.models:
        for target in model.targets:
            name = f"residency/{model.name}/{target.host}"
            if target.live and model.allowed_regions is not None and name not in refused:
                assert target.reaches
                assert set(target.reaches) <= model.allowed_regions


@pytest.mark.parametrize(
    ("engine", "shares", "want"),
    [
        ("kubernetes", {"bedrock": 60, "deepinfra": 40}, ["warning"]),
        ("kubernetes", {"bedrock": 100}, ["note"]),
        ("kubernetes", {"bedrock": 0, "deepinfra": 100}, []),
        ("local", {"bedrock": 60, "deepinfra": 40}, []),
    ],
    ids=str,
)
def test_what_a_cluster_does_not_translate_for_a_host_is_said(engine: str, shares: dict[str, int], want: list[str]):
    plan = build({LLAMA: {"shares": shares}}, engine={"kind": engine})
    assert [finding.level for finding in translation(plan)] == want


@pytest.mark.parametrize(
    ("shares", "beyond"),
    [
        ({"bedrock": 60, "deepinfra": 40}, "is answered by deepinfra"),
        ({"bedrock": 100}, "is refused, as it has no other host"),
    ],
    ids=str,
)
def test_what_a_host_behind_the_adapter_does_not_take_another_one_answers(shares: dict[str, int], beyond: str):
    plan = build({LLAMA: {"shares": shares}}, engine={"kind": "kubernetes"}, gateway={"adapterImage": "adapter:1"})
    (finding,) = translation(plan)
    assert (finding.level, finding.name) == ("note", f"translation/{LLAMA}/bedrock")
    assert finding.message == (
        f"bedrock is called through the adapter and answers {LLAMA} at /v1/chat/completions alone: what it gets "
        f"elsewhere, or cannot take, {beyond}"
    )
    assert [each.message for each in parity(plan, TODAY) if each.name.endswith("bedrock")] == []
