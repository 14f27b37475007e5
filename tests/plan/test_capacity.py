"""Whether hosts carry a peak: a table of cases, and the arithmetic beside a simulation of single requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.plan.capacity import Case, CaseMove, Headroom, HeadroomMove, UseMove, headroom, headroom_moved
from corral.plan.checks.peaks import peaks
from corral.plan.checks.run import check
from corral.plan.plan import Load, ModelPlan, Plan, Target
from tests.plan.world import DEEPINFRA, HOSTS, LLAMA, SCOUT, TODAY, build

K = 1_000


def one(
    shares: Mapping[str, int],
    *fallback: str,
    peak: Mapping[str, Any],
    engine: str = "local",
    **limits: Mapping[str, Any],
) -> Headroom:
    """The peak of `llama-3.3-70b`; `limits` are those of that model, by host."""
    hosts = {host: {"limits": {"perModel": {LLAMA: limit}}} for host, limit in limits.items()}
    model = {"shares": dict(shares), "fallback": list(fallback), "peak": dict(peak)}
    hosts = with_hosts(hosts)
    (only,) = headroom(build({LLAMA: model}, hosts, engine={"kind": engine}))
    return only


def with_hosts(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {**HOSTS.get(name, {}), **more} for name, more in hosts.items()}


def said(case: Case) -> tuple[Any, ...]:
    """In tokens a minute: what is lost, who gets how much, what is left, the verdict."""
    got = {each.host: each.load.tokens for each in case.hosts}
    return case.lost, got, case.unserved.tokens, case.verdict


def test_each_case_says_who_carries_what_and_what_is_left():
    found = one(
        {"bedrock": 50, "azure": 30, "deepinfra": 20},
        "lab",
        peak={"tokensPerMinute": "800k"},
        bedrock={"tokensPerMinute": "600k"},
        deepinfra={"tokensPerMinute": "300k"},
        lab={"tokensPerMinute": "100k"},
    )
    assert [(each.host, each.load.tokens, each.limit.tokens, each.percent) for each in found.offered] == [
        ("azure", 240 * K, 200 * K, 120),
        ("bedrock", 400 * K, 600 * K, 67),
        ("deepinfra", 160 * K, 300 * K, 54),
    ]
    assert [*map(said, found.cases)] == [
        ("", {"azure": 200 * K, "bedrock": 428_571, "deepinfra": 171_429}, 0, "carries"),
        ("azure", {"bedrock": 571_429, "deepinfra": 228_571}, 0, "carries"),
        ("bedrock", {"azure": 200 * K, "deepinfra": 300 * K, "lab": 100 * K}, 200 * K, "does not"),
        ("deepinfra", {"azure": 200 * K, "bedrock": 600 * K}, 0, "carries"),
        ("lab", {"azure": 200 * K, "bedrock": 428_571, "deepinfra": 171_429}, 0, "carries"),
    ]


def test_the_tightest_of_several_limits_counts():
    peak = {"tokensPerMinute": "600k", "requestsPerMinute": 600, "concurrent": 100}
    found = one({"bedrock": 100}, peak=peak, bedrock={"tokensPerMinute": "900k", "concurrent": 25})
    assert (found.offered[0].percent, found.cases[0].unserved) == (400, Load(75, 450, 450 * K))


def test_what_only_one_of_peak_and_limits_has_is_not_compared():
    found = one({"bedrock": 100}, peak={"requestsPerMinute": 60}, bedrock={"tokensPerMinute": "1k"})
    assert (found.cases[0].verdict, found.cases[0].unknown) == ("unknown", ("bedrock",))


def test_an_unknown_limit_matters_only_where_the_others_do_not_carry_it_all():
    bedrock = {"tokensPerMinute": "1M"}
    found = one({"bedrock": 50, "deepinfra": 50}, peak={"tokensPerMinute": "800k"}, bedrock=bedrock)
    assert [(case.lost, case.verdict) for case in found.cases] == [
        ("", "carries"),
        ("bedrock", "unknown"),
        ("deepinfra", "carries"),
    ]


@pytest.mark.parametrize(
    ("engine", "whole", "alone"),
    [
        ("local", ({"vllm": 100 * K, "deepinfra": 200 * K}, 0, "carries"), {"vllm": 100 * K}),
        ("kubernetes", ({"vllm": 300 * K}, 200 * K, "does not"), {"vllm": 300 * K}),
    ],
)
def test_what_is_too_much_for_vllm_waits_on_a_cluster_and_goes_on_where_it_is_counted(
    engine: str, whole: tuple[dict[str, int], int, str], alone: dict[str, int]
):
    limits: dict[str, Any] = {"vllm": {"tokensPerMinute": "100k"}, "deepinfra": {"tokensPerMinute": "1M"}}
    found = one({"vllm": 100}, "deepinfra", peak={"tokensPerMinute": "300k"}, engine=engine, **limits)
    assert [*map(said, found.cases)] == [
        ("", *whole),
        ("vllm", {"deepinfra": 300 * K}, 0, "carries"),
        ("deepinfra", alone, 200 * K, "does not"),
    ]


def test_a_region_takes_all_hosts_with_it_that_are_called_there():
    peak = {"tokensPerMinute": "100k"}
    each = {"tokensPerMinute": "100k"}
    found = one({"bedrock": 50, "vllm": 50}, "deepinfra", peak=peak, bedrock=each, vllm=each, deepinfra=each)
    assert [(case.lost, case.without, said(case)[1]) for case in found.cases][-1] == (
        *("us-east-1", ("bedrock", "vllm")),
        {"deepinfra": 100 * K},
    )


def test_models_fill_a_limit_of_their_host_together():
    models = {
        LLAMA: {"shares": {"bedrock": 100}, "fallback": ["lab"], "peak": {"tokensPerMinute": "300k"}},
        SCOUT: {"shares": {"bedrock": 100}, "peak": {"tokensPerMinute": "100k"}},
    }
    hosts = with_hosts(
        {
            "bedrock": {"limits": {"tokensPerMinute": "200k"}},
            "lab": {"limits": {"perModel": {LLAMA: {"tokensPerMinute": "1M"}}}},
        }
    )
    assert [(each.model, said(each.cases[0])) for each in headroom(build(models, hosts))] == [
        (LLAMA, ("", {"bedrock": 150 * K, "lab": 150 * K}, 0, "carries")),
        (SCOUT, ("", {"bedrock": 50 * K}, 50 * K, "does not")),
    ]


@pytest.mark.parametrize(("engine", "first"), [("local", {"azure": 100 * K}), ("kubernetes", None)])
def test_on_a_cluster_a_fallback_gets_a_part_while_half_of_the_sharing_hosts_is_lost(
    engine: str, first: dict[str, int] | None
):
    model = {"shares": {"bedrock": 50, "azure": 50}, "fallback": ["deepinfra"], "peak": {"tokensPerMinute": "100k"}}
    limits = {"limits": {"perModel": {LLAMA: {"tokensPerMinute": "1M"}}}}
    hosts = with_hosts({"bedrock": limits, "deepinfra": limits})
    (found,) = headroom(build({LLAMA: model}, hosts, engine={"kind": engine}))
    without = next(case for case in found.cases if case.lost == "bedrock")
    assert said(without)[1] == (first or {"azure": 70 * K, "deepinfra": 30 * K})


def test_a_model_without_a_peak_is_not_reckoned_with():
    assert headroom(build({LLAMA: {"shares": {"bedrock": 100}}})) == ()


def test_findings_name_what_it_takes_and_the_number_that_is_unknown():
    peak = {"tokensPerMinute": "600k", "requestsPerMinute": 300}
    model = {"shares": {"bedrock": 60, "azure": 40}, "fallback": ["deepinfra"], "peak": peak}
    hosts = with_hosts({"bedrock": {"limits": {"perModel": {LLAMA: {"tokensPerMinute": "450k"}}}}})
    share, limit = map(str, peaks(build({LLAMA: model}, hosts)))
    assert share == (
        f"warning peak/{LLAMA}/azure: the share of azure in the peak of {LLAMA} is 240,000 tokens a minute and 120 "
        "requests a minute, and it takes 200,000 tokens a minute: what is more goes to the next host, or waits; "
        "lower its share, have azure take more, or accept it"
    )
    assert limit == (
        f"warning limits/{LLAMA}/deepinfra: how much of {LLAMA} deepinfra takes is unknown, and with it whether the "
        f"peak is carried without azure or bedrock; give it, corral:hosts.deepinfra.limits.perModel.{LLAMA} "
        "(tokensPerMinute or requestsPerMinute): `GET https://api.deepinfra.com/v1/me/rate_limit` tells"
    )


_BEDROCK = "ask AWS for a quota of 600,000 tokens a minute at bedrock (`corral preflight` names it), and state it"
_LAB = "have lab take 600,000 tokens a minute, and state it"


@pytest.mark.parametrize(
    ("host", "limit", "way_out"),
    [
        ("azure", {}, f"raise corral:hosts.azure.capacity.{LLAMA} to 600"),
        ("bedrock", {"tokensPerMinute": "200k"}, f"{_BEDROCK}, corral:hosts.bedrock.limits.perModel.{LLAMA}"),
        ("lab", {"requestsPerMinute": 100}, f"{_LAB}, corral:hosts.lab.limits.perModel.{LLAMA}"),
    ],
    ids=["azure", "bedrock", "lab"],
)
def test_a_peak_that_is_not_carried_is_an_error_that_names_what_to_ask_for(
    host: str, limit: dict[str, Any], way_out: str
):
    peak = {"tokensPerMinute": "600k", "requestsPerMinute": 300}
    hosts = with_hosts({host: {"limits": {"perModel": {LLAMA: limit}}}}) if limit else {}
    fails, lost = (
        each for each in peaks(build({LLAMA: {"shares": {host: 100}, "peak": peak}}, hosts)) if each.level == "error"
    )
    assert (fails.name, lost.name) == (f"peak/{LLAMA}", f"lost/{LLAMA}/{host}")
    assert fails.message == (
        f"the hosts of {LLAMA} do not carry its peak: of 600,000 tokens a minute 400,000 tokens a minute are refused "
        f"or waiting, after {host} 200,000 tokens a minute"
    )
    assert fails.way_out == f"{way_out}, or add a host to corral:models.{LLAMA}.fallback, or accept it"


def test_more_servers_are_named_with_their_nodes():
    gpus = {"instance": "g6e.12xlarge", "min": 1, "max": 1, "count": 4, "memory": "44Gi", "parallel": 4}
    hosts = with_hosts({"vllm": {"gpus": gpus, "limits": {"perModel": {LLAMA: {"concurrent": 50}}}}})
    plan = build({LLAMA: {"shares": {"vllm": 100}, "peak": {"concurrent": 120}}}, hosts)
    fails = next(each for each in peaks(plan) if each.name == f"peak/{LLAMA}")
    assert fails.way_out.partition(", or ")[0] == (
        "give vllm 3 servers instead of 1: 3 nodes of g6e.12xlarge, corral:hosts.vllm.gpus"
    )


def test_a_peak_that_is_not_carried_can_be_accepted_by_name():
    model = {"shares": {"lab": 100}, "peak": {"tokensPerMinute": "600k"}}
    hosts = with_hosts({"lab": {"limits": {"tokensPerMinute": "1M"}}})
    plan = build({LLAMA: model}, hosts, accept=[f"lost/{LLAMA}/lab"])
    lost = next(each for each in check(plan, TODAY) if each.name == f"lost/{LLAMA}/lab")
    assert (lost.level, lost.accepted) == ("warning", True)
    assert [each.level for each in check(build({LLAMA: model}, hosts), TODAY) if each.name == lost.name] == ["error"]


N = 600
"""Requests in the minute of a simulated model."""


@st.composite
def worlds(draw: st.DrawFn) -> Plan:
    """One or two models on four hosts, whose limits are in requests a minute."""
    names = ("a", "b", "c", "v")
    kinds = {name: "vllm" if name == "v" else "deepinfra" for name in names}
    host_limits = {name: Load(requests=draw(st.integers(1, 2 * N))) for name in draw(st.sets(st.sampled_from("abc")))}
    models: list[ModelPlan] = []
    for model in ("m", "n")[: draw(st.integers(1, 2))]:
        order = draw(st.permutations(names))
        sharing = order[: draw(st.integers(1, 3))]
        fallbacks = order[len(sharing) : len(sharing) + draw(st.integers(0, 2))]
        targets = [
            replace(
                DEEPINFRA,
                host=host,
                kind=kinds[host],
                weight=draw(st.integers(1, 100)) if host in sharing else 100,
                priority=0 if host in sharing else 1 + list(fallbacks).index(host),
                limit=Load(requests=draw(st.integers(1, N))),
                host_limit=host_limits.get(host, Load()),
            )
            for host in (*sharing, *fallbacks)
        ]
        targets.sort(key=lambda target: (target.priority, target.host))
        models.append(ModelPlan(model, tuple(targets), (), None, None, None, Load(requests=N)))
    engine: Literal["local", "kubernetes"] = draw(st.sampled_from(["local", "kubernetes"]))
    return replace(build({LLAMA: {"shares": {"lab": 100}}}), models=tuple(models), engine=engine)


def simulated(plan: Plan, lost: Sequence[str]) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Request after request: which host got it, and how many got nothing, or wait."""
    draw = random.Random(1)
    came: Counter[tuple[str, str]] = Counter()
    of_host: Counter[str] = Counter()
    unserved: Counter[str] = Counter()
    for _ in range(N):
        for model in plan.models:
            for target in attempts(model, lost, plan.engine, draw):
                taken = came[model.name, target.host] < (target.limit.requests or N)
                taken = taken and of_host[target.host] < (target.host_limit.requests or 9 * N)
                if taken or (target.kind == "vllm" and plan.engine == "kubernetes"):
                    came[model.name, target.host] += 1
                    of_host[target.host] += 1
                    unserved[model.name] += not taken
                    break
            else:
                unserved[model.name] += 1
    return came, unserved


def attempts(model: ModelPlan, lost: Sequence[str], engine: str, draw: random.Random) -> list[Target]:
    """The hosts of one request, in order: those that share by weight, none twice, then the fallbacks."""
    sharing = [target for target in model.sharing if target.host not in lost]
    fallbacks = [target for target in model.fallbacks if target.host not in lost]
    percent = min(100, 140 * len(sharing) // len(model.sharing))
    spilled = fallbacks[:1] if engine == "kubernetes" and sharing and draw.random() * 100 >= percent else []
    drawn: list[Target] = []
    while len(drawn) < len(sharing):
        left = [target for target in sharing if target not in drawn]
        drawn += draw.choices(left, [target.weight for target in left])
    return [*spilled, *drawn, *fallbacks]


@settings(max_examples=25, deadline=None)
@given(plan=worlds())
def test_the_arithmetic_is_that_of_a_simulation_of_single_requests(plan: Plan):
    tolerance = N // 8
    for found in headroom(plan):
        for case in found.cases:
            lost = {case.lost}
            came, unserved = simulated(plan, [*lost])
            got = {each.host: each.load.requests or 0 for each in case.hosts}
            hosts = {target.host for model in plan.models if model.name == found.model for target in model.live}
            apart = {host: abs(got.get(host, 0) - came[found.model, host]) for host in hosts}
            assert max(apart.values()) <= tolerance, (case, came)
            assert abs((case.unserved.requests or 0) - unserved[found.model]) <= tolerance
            if len(plan.models) == 1 and plan.engine == "local":
                limits = [
                    min(target.limit.requests or N, target.host_limit.requests or N)
                    for target in plan.models[0].live
                    if target.host not in lost
                ]
                assert case.unserved.requests == unserved["m"] == max(0, N - sum(limits))


def peaked(shares: Mapping[str, int], peak: str) -> Plan:
    limits = {"bedrock": {"limits": {"tokensPerMinute": "600k"}}, "deepinfra": {"limits": {"tokensPerMinute": "300k"}}}
    return build({LLAMA: {"shares": dict(shares), "peak": {"tokensPerMinute": peak}}}, with_hosts(limits))


def test_an_edit_changes_what_is_used_of_a_host_and_whether_a_loss_is_carried():
    before, after = peaked({"bedrock": 80, "deepinfra": 20}, "250k"), peaked({"bedrock": 60, "deepinfra": 40}, "350k")
    assert headroom_moved(before, after) == (
        HeadroomMove(
            LLAMA,
            (UseMove("bedrock", 34, 35), UseMove("deepinfra", 17, 47)),
            (CaseMove("bedrock", "carries", "does not"),),
        ),
    )
    assert headroom_moved(before, before) == ()
    assert headroom_moved(None, after)[0].cases == (
        CaseMove("", None, "carries"),
        CaseMove("bedrock", None, "does not"),
        CaseMove("deepinfra", None, "carries"),
    )
