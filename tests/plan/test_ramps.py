"""Ramps: a table of decisions, and the invariants of every walk on the stairs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.plan.checks.ramps import flight, ramps
from corral.plan.checks.run import check
from corral.plan.money import Monthly, Unpriced
from corral.plan.plan import ModelPlan, Plan
from corral.plan.ramps import Decision, Observed, ObservedHost, next_step, percent, stairs, with_shares
from tests.plan.world import HOSTS, LLAMA, TODAY, build

MINUTES = 60_000
GUARD = {"errors": "1%", "firstByteP95": "2s", "costPerMillion": "+5%"}


def ramping(shares: dict[str, int], **ramp: Any) -> ModelPlan:
    """The model at these shares, on its way from Bedrock and Azure to 40 % of DeepInfra, which costs less."""
    whole = {"to": {"deepinfra": 40}, "from": {"bedrock": 60, "azure": 40, "deepinfra": 0}, "guard": GUARD, **ramp}
    return build({LLAMA: {"shares": shares}}, ramps={LLAMA: whole}).models[0]


AT_0 = {"bedrock": 60, "azure": 40, "deepinfra": 0}
AT_10 = {"bedrock": 54, "azure": 36, "deepinfra": 10}
AT_20 = {"bedrock": 48, "azure": 32, "deepinfra": 20}
AT_40 = {"bedrock": 36, "azure": 24, "deepinfra": 40}

GOOD = ObservedHost(
    attempts=500, failed_attempts=0, ejected=False, first_byte_p95=900, input_tokens=10_000, output_tokens=10_000
)
SEEN = Observed(requests=2_500, lost=0, hosts={"bedrock": GOOD, "azure": GOOD, "deepinfra": GOOD})


def seen(requests: int = 2_500, lost: int = 0, **deepinfra: Any) -> Observed:
    return Observed(requests, lost, {**SEEN.hosts, "deepinfra": replace(GOOD, **deepinfra)})


DEAR = {"price": {"input": 2, "output": 2}}

CASES: dict[str, tuple[ModelPlan, Observed, int, Decision]] = {
    "a quiet stair leads to the next": (ramping(AT_10), SEEN, 15, Decision("on", "", AT_20)),
    "the first step needs requests of the model alone": (
        ramping(AT_0, guard={}),
        Observed(200, 0, {}),
        15,
        Decision("on", "", AT_10),
    ),
    "too early": (ramping(AT_10), SEEN, 14, Decision("hold", "for 15 min at each stair")),
    "too few requests at the host": (
        ramping(AT_10),
        seen(attempts=199),
        60,
        Decision("hold", "199 of 200 requests at deepinfra so far"),
    ),
    "too few requests before the first step": (
        ramping(AT_0, guard={}),
        Observed(199, 0, {}),
        60,
        Decision("hold", "199 of 200 requests so far"),
    ),
    "a host that the metrics do not tell": (
        ramping(AT_10, guard={}),
        Observed(2_500, 0, {}),
        60,
        Decision("hold", "what deepinfra does is unknown: the metrics do not tell it from another host"),
    ),
    "first bytes that nobody counted": (
        ramping(AT_10),
        seen(first_byte_p95=None),
        60,
        Decision("hold", "when the answers of deepinfra began is unknown"),
    ),
    "tokens that nobody counted": (
        ramping(AT_0),
        Observed(2_500, 0, {}),
        60,
        Decision("hold", "what the tokens cost is unknown"),
    ),
    "lost requests are not the rising host's": (
        ramping(AT_10),
        seen(lost=26),
        60,
        Decision("hold", "26 of 2,500 requests were lost"),
    ),
    "errors take it back at once": (
        ramping(AT_20),
        seen(failed_attempts=6),
        1,
        Decision("back", "6 of 500 attempts at deepinfra failed, more than 1%", AT_10),
    ),
    "as many as may fail are no reason": (
        ramping(AT_20),
        seen(failed_attempts=5),
        1,
        Decision("hold", "for 15 min at each stair"),
    ),
    "two of three attempts are few, and may fail": (
        ramping(AT_20),
        seen(attempts=3, failed_attempts=2),
        60,
        Decision("hold", "3 of 200 requests at deepinfra so far"),
    ),
    "three of three are more than may fail of all": (
        ramping(AT_20),
        seen(attempts=3, failed_attempts=3),
        1,
        Decision("back", "3 of 3 attempts at deepinfra failed, more than 1%", AT_10),
    ),
    "an ejected host takes it back": (
        ramping(AT_20),
        seen(ejected=True),
        0,
        Decision("back", "deepinfra is ejected for failing", AT_10),
    ),
    "late answers take it back": (
        ramping(AT_20),
        seen(first_byte_p95=2_100),
        1,
        Decision("back", "5 of 100 answers of deepinfra took 2,100 ms or longer to begin, not 2 s", AT_10),
    ),
    "money takes it back": (
        build(
            {LLAMA: {"shares": AT_20}},
            {"deepinfra": {"models": {LLAMA: DEAR}}},
            ramps={LLAMA: {"to": {"deepinfra": 40}, "from": AT_0, "guard": GUARD}},
        ).models[0],
        SEEN,
        1,
        Decision("back", "a token costs 59.69% more than at the first stair, not 5%", AT_10),
    ),
    "what fails before the first step is not taken further back": (
        ramping(
            {"bedrock": 60, "azure": 30, "deepinfra": 10}, **{"from": {"bedrock": 60, "azure": 30, "deepinfra": 10}}
        ),
        seen(ejected=True),
        60,
        Decision("hold", "deepinfra is ejected for failing"),
    ),
    "paused": (ramping(AT_10, paused="Friday"), SEEN, 15, Decision("stopped", "it is paused: Friday")),
    "paused, it goes back all the same": (
        ramping(AT_10, paused="Friday"),
        seen(ejected=True),
        15,
        Decision("back", "deepinfra is ejected for failing", AT_0),
    ),
    "one stair back has its time to help": (
        ramping(AT_10, paused="Friday"),
        seen(ejected=True),
        14,
        Decision("hold", "deepinfra is ejected for failing"),
    ),
    "the last stair is looked at like the others": (
        ramping(AT_40),
        SEEN,
        14,
        Decision("hold", "for 15 min at each stair"),
    ),
    "at its end": (ramping(AT_40), SEEN, 15, Decision("reached", "the ramp is at its end")),
    "on no stair": (
        ramping({"bedrock": 50, "azure": 30, "deepinfra": 20}),
        SEEN,
        15,
        Decision(
            "stopped",
            "{azure: 30, bedrock: 50, deepinfra: 20} is no stair of the ramp: take its `from` out, and it begins there",
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_ramp_does_next(case: str):
    model, observed, minutes, decision = CASES[case]
    assert next_step(model, observed, minutes * MINUTES) == decision


def test_without_a_from_it_begins_where_the_shares_are():
    model = build({LLAMA: {"shares": AT_10}}, ramps={LLAMA: {"to": {"deepinfra": 25}}}).models[0]
    assert model.ramp is not None
    assert (model.ramp.begun, model.ramp.stairs) == (
        False,
        (AT_10, AT_20, {"bedrock": 45, "azure": 30, "deepinfra": 25}),
    )


def test_percents_are_written_as_a_person_would():
    assert [percent(each) for each in (1, 50, 100, 1_050, 10_000)] == ["0.01%", "0.5%", "1%", "10.5%", "100%"]


@st.composite
def journeys(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int], int]:
    """Where from, where to, in which steps."""
    hosts = ["a", "b", "c", "d"][: draw(st.integers(2, 4))]
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(hosts) - 1, max_size=len(hosts) - 1)))
    start = {host: high - low for host, low, high in zip(hosts, [0, *cuts], [*cuts, 100], strict=True)}
    named = draw(st.lists(st.sampled_from(hosts), min_size=1, max_size=len(hosts), unique=True))
    left, to = 100, dict[str, int]()
    for host in named:
        to[host] = draw(st.integers(0, left))
        left -= to[host]
    if not any(start[host] for host in hosts if host not in to):
        to[named[0]] += left
    return start, to, draw(st.integers(1, 100))


@given(journeys())
def test_stairs_lead_straight_from_one_end_to_the_other(journey: tuple[dict[str, int], dict[str, int], int]):
    start, to, step = journey
    flight = stairs(start, to, step)
    assert flight[0] == start
    assert {host: flight[-1][host] for host in to} == to
    assert {sum(shares.values()) for shares in flight} == {100}
    for host in start:
        walk = [shares[host] for shares in flight]
        assert walk in (sorted(walk), sorted(walk, reverse=True))
    rises = [sum(max(0, new[host] - old[host]) for host in start) for old, new in pairwise(flight)]
    assert all(rise == step for rise in rises[:-1])
    assert all(0 < rise <= step for rise in rises[-1:])
    assert len({tuple(sorted(shares.items())) for shares in flight}) == len(flight)


OBSERVED_HOSTS = st.builds(
    ObservedHost,
    attempts=st.integers(0, 400),
    failed_attempts=st.integers(0, 6),
    ejected=st.sampled_from([False, False, False, True]),
    first_byte_p95=st.none() | st.integers(100, 3_000),
    input_tokens=st.integers(0, 1_000),
    output_tokens=st.integers(0, 1_000),
)
SIGHTS = st.builds(
    Observed,
    requests=st.integers(0, 1_000),
    lost=st.integers(0, 10),
    hosts=st.dictionaries(st.sampled_from(["bedrock", "azure", "deepinfra"]), OBSERVED_HOSTS),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(SIGHTS, st.integers(0, 30)), max_size=12), st.integers(1, 40))
def test_no_walk_skips_a_stair_passes_an_end_or_goes_on_without_enough_requests(
    sights: list[tuple[Observed, int]], step: int
):
    model = ramping(AT_0, step=step)
    assert model.ramp is not None
    flight = model.ramp.stairs
    for observed, minutes in sights:
        decision = next_step(model, observed, minutes * MINUTES)
        assert (decision.shares is None) == (decision.verdict not in ("on", "back"))
        if decision.shares is None:
            continue
        before, after = flight.index(model.shares), flight.index(decision.shares)
        assert after - before == {"on": 1, "back": -1}[decision.verdict]
        if decision.verdict == "on":
            assert minutes >= 15
            assert observed.requests >= 200
            if model.shares["deepinfra"]:
                assert observed.hosts["deepinfra"].attempts >= 200
                assert not observed.hosts["deepinfra"].ejected
        model = ramping(decision.shares, step=step)


def test_shares_of_a_plan_are_those_of_a_stack_that_has_them():
    plan, wanted = (build({LLAMA: {"shares": shares, "fallback": ["lab"]}}) for shares in (AT_0, AT_20))
    assert with_shares(plan, {LLAMA: AT_20}) == wanted
    assert check(with_shares(plan, {LLAMA: AT_20}), TODAY) == check(wanted, TODAY)


def peaking(shares: dict[str, int], *accept: str, **ramp: Any) -> Plan:
    """On a cluster, on its way to vLLM, which holds 20k tokens a minute of 100k and has more wait."""
    return build(
        {LLAMA: {"shares": shares, "peak": {"tokensPerMinute": 100_000}, "volume": 1_000_000}},
        {
            "bedrock": {"limits": {"tokensPerMinute": 100_000}},
            "vllm": {**HOSTS["vllm"], "region": "us-west-2", "limits": {"tokensPerMinute": 20_000}},
        },
        ramps={LLAMA: {"to": {"vllm": 30}, **ramp}},
        accept=list(accept),
        engine={"kind": "kubernetes"},
    )


def test_a_plan_has_every_stair_with_its_cost_and_who_carries_the_peak():
    plan = peaking({"bedrock": 90, "vllm": 10})
    (model,) = plan.models
    stairs = [*flight(plan, model)]
    assert [(stair.shares["vllm"], stair.current, stair.price, stair.failing()) for stair in stairs] == [
        (10, True, Unpriced(("vllm",)), [f"lost/{LLAMA}/bedrock"]),
        (20, False, Unpriced(("vllm",)), [f"lost/{LLAMA}/bedrock"]),
        (30, False, Unpriced(("vllm",)), [f"peak/{LLAMA}", f"lost/{LLAMA}/bedrock"]),
    ]
    priced = build({LLAMA: {"shares": AT_0, "volume": 1_000_000}}, ramps={LLAMA: {"to": {"deepinfra": 10}}})
    months = [stair.month for stair in flight(priced, priced.models[0])]
    assert months == [Monthly(716_000, 716_000), Monthly(657_400, 684_400)]


@pytest.mark.parametrize(
    ("plan", "finding"),
    [
        (
            peaking({"bedrock": 90, "vllm": 10}, f"lost/{LLAMA}/bedrock"),
            (
                f"warning ramp/{LLAMA}: the ramp of {LLAMA} stops before {{bedrock: 70, vllm: 30}}, where the peak is "
                f"not carried; have hosts take more, or accept peak/{LLAMA}"
            ),
        ),
        (peaking({"bedrock": 90, "vllm": 10}, f"lost/{LLAMA}/bedrock", f"peak/{LLAMA}"), ""),
        (peaking({"bedrock": 80, "vllm": 20}, f"lost/{LLAMA}/bedrock", to={"vllm": 10}), ""),
        (
            peaking({"bedrock": 85, "vllm": 15}, **{"from": {"bedrock": 100, "vllm": 0}}),
            (
                f"warning ramp/{LLAMA}: {{bedrock: 85, vllm: 15}} is no stair of the ramp of {LLAMA}, which takes no "
                f"step from there; take corral:ramps.{LLAMA}.from out, and the ramp begins there"
            ),
        ),
    ],
)
def test_a_stair_where_a_ramp_stops_is_said_beforehand(plan: Plan, finding: str):
    assert "\n".join(map(str, ramps(plan))) == finding
