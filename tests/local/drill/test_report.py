from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.drill.record import Arrival, Exhausted, Failed, Moved, Refused, Result
from corral.local.drill.report import LimitReport, ShareReport, StepReport, effective, report, shares
from corral.local.drill.script import Break, Exhaust, Fail, Move
from corral.plan.public_json import to_json
from tests.local.drill.recorded import alone, record, with_loss
from tests.plan.world import LLAMA

STARTED = "2026-11-21T15:00:00+00:00"


def test_a_drill_without_a_loss_has_no_problems():
    result = report(record(), STARTED)
    assert (result.requests, result.streamed, result.lost, result.cut_short) == (130, 130, 0, 0)
    assert (result.problems, result.reasons, result.ended_early) == ((), {}, False)


def test_a_lost_request_is_a_problem_and_its_reason_is_told():
    result = report(with_loss(record()), STARTED)
    assert (result.lost, result.problems) == (1, ("1 request was lost",))
    assert result.reasons == {"HTTP 503 no_host_left": 1}


def test_a_failure_tells_who_met_it_and_how_long_it_cost_them():
    of_failures = {each.title: each for each in report(record(), STARTED).failures}
    assert asdict(of_failures["azure: answers 503"]) == {
        "title": "azure: answers 503",
        "met": 1,
        "first_answer": pytest.approx(400),
        "usual": pytest.approx(20),
        "slowest": pytest.approx(300),
        "ejected": pytest.approx(400),
        "back": pytest.approx(400),
    }
    slow = of_failures["vllm: slow first byte"]
    assert (slow.met, slow.first_answer) == (2, None)


def test_a_move_is_effective_where_the_hosts_say_so():
    swap, drain, back = report(record(), STARTED).moves
    assert (swap.title, swap.before, swap.after) == (
        "swap shares",
        {"azure": 60, "vllm": 40},
        {"azure": 40, "vllm": 60},
    )
    assert (drain.before, drain.after, drain.in_force) == (
        {"azure": 40, "vllm": 60},
        {"azure": 0, "vllm": 100},
        pytest.approx(100),
    )
    assert drain.effective
    assert (drain.effective.after, drain.effective.last_of_old) == (pytest.approx(0.11), pytest.approx(0.01))
    assert (back.before, back.after) == ({"azure": 0, "vllm": 100}, {"azure": 60, "vllm": 40})


def test_shares_are_counted_from_when_an_edit_is_in_force_and_against_the_right_declaration():
    result = report(record(), STARTED).shares
    assert [(each.title, each.host, each.declared, each.requests) for each in result] == [
        ("shares as declared", "azure", 60, 6),
        ("shares as declared", "vllm", 40, 4),
        ("swap shares", "azure", 40, 5),
        ("swap shares", "vllm", 60, 3),
        ("drain the largest share to 0", "azure", 0, 0),
        ("drain the largest share to 0", "vllm", 100, 8),
        ("back to what is declared", "azure", 60, 5),
        ("back to what is declared", "vllm", 40, 3),
        ("files that are refused", "azure", 60, 12),
        ("files that are refused", "vllm", 40, 8),
    ]


def test_the_rest_of_the_figures():
    result = report(record(), STARTED)
    assert result.limit == LimitReport("drill-limited", "requests", 60, 60, 12, 12, {}, 10, 0)
    assert result.broken == (
        Refused("save a file that is not YAML", "it is refused", True),
        Refused("save shares that do not sum to 100", "it is refused", True),
    )
    assert result.differences == (
        "connectTimeout is 1 s instead of 5 s",
        "idleTimeout is 3 s instead of 600 s",
        "ejectionTime is 1 s instead of 10 s",
        "it has tenants more: drill and drill-limited",
    )


@pytest.mark.parametrize(
    ("kind", "result", "problem"),
    [
        (Move, Moved(2.0, None), "swap shares: the edit never came into force"),
        (Fail, Failed(7.0, {}, 7.5, None), "azure: answers 503: not back in its place"),
        (Break, Refused("save a file", None, unchanged=True), "save a file: nothing was said of it"),
        (Break, Refused("save a file", "it is refused", unchanged=False), "save a file: the plan in force has changed"),
        (Exhaust, Exhausted(170, 0, 0, {}), "tenant drill-limited was not refused after 170 requests"),
        (Exhaust, Exhausted(60, 9, 7, {}), "2 refusals of tenant drill-limited had no Retry-After"),
    ],
)
def test_what_a_step_must_do_and_does_not_is_a_problem(kind: type, result: Result, problem: str):
    kept = record()
    place = next(number for number, span in enumerate(kept.spans) if isinstance(span.step, kind))
    spans = [*kept.spans]
    spans[place] = replace(spans[place], result=result)
    assert report(replace(kept, spans=spans), STARTED).problems == (problem,)


def test_a_drill_that_was_ended_early_reports_what_there_is():
    result = report(alone(), STARTED)
    assert (result.ended_early, result.requests, result.problems) == (True, 0, ())
    assert [step.title for step in result.steps if step.skipped] == [
        "move shares",
        "a host: answers 503",
        "a host: refuses connections",
        "a host: hangs",
        "a host: slow first byte",
        "a host: answers 429",
        "all sharing hosts: answer 503",
        "a tenant exceeds its limit",
    ]
    assert result.steps[-3].skipped == f"azure is the only host of {LLAMA}"
    assert result.steps[:2] == (
        StepReport("shares as declared", 0, 1, None),
        StepReport("move shares", None, None, "no model has a second sharing host to move them to"),
    )


def test_a_report_is_json_in_camel_case_but_for_names():
    result = json.loads(json.dumps(to_json(report(with_loss(record()), STARTED))))
    assert result["moves"][0]["after"] == {"azure": 40, "vllm": 60}
    assert (result["endedEarly"], result["limit"]["withRetryAfter"], result["notices"]) == (
        False,
        12,
        [[1.5, "azure is left out of it."]],
    )


def arrivals(hosts: str, every: float = 0.1) -> list[Arrival]:
    """One arrival every so often, each at a host of one letter."""
    return [Arrival(number * every, host, "m", 200) for number, host in enumerate(hosts)]


@pytest.mark.parametrize(
    ("hosts", "before", "after", "want"),
    [
        ("abaabb" + "bbbbbbbb", {"a": 50, "b": 50}, {"a": 0, "b": 100}, (0.4, 0.4, 0.6, 0.3)),
        ("aaaaaaaa" + "bab", {"a": 100, "b": 0}, {"a": 50, "b": 50}, (0.8, 0.6, 0.8, None)),
        ("bbbb", {"a": 100, "b": 0}, {"a": 0, "b": 100}, (0.0, 0.0, 0.0, 0.0)),
        ("aaaa", {"a": 100, "b": 0}, {"a": 0, "b": 100}, None),
        ("", {"a": 100, "b": 0}, {"a": 0, "b": 100}, None),
    ],
)
def test_a_drained_host_s_last_request_and_a_new_host_s_first_one_tell_when_a_move_was_effective(
    hosts: str, before: dict[str, int], after: dict[str, int], want: tuple[float, float, float, float | None] | None
):
    seen = effective(arrivals(hosts), 0, before, after)
    if want is None:
        assert seen is None
    else:
        assert seen
        times = (seen.after, seen.earliest, seen.latest, seen.last_of_old)
        assert times == pytest.approx(want) if want[3] is not None else times[:3] == pytest.approx(want[:3])


def test_arrivals_before_the_save_do_not_count():
    seen = effective(arrivals("bbbbaaaabbbb"), 0.35, {"a": 100, "b": 0}, {"a": 0, "b": 100})
    assert seen
    assert (seen.after, seen.earliest, seen.latest, seen.last_of_old) == pytest.approx((0.45, 0.45, 0.45, 0.35))


@pytest.mark.parametrize("seed", range(20))
def test_a_swap_is_observed_where_it_is_or_nearly(seed: int):
    rng = random.Random(seed)
    place, before, after = rng.randrange(120), {"a": 80, "b": 20}, {"a": 20, "b": 80}
    hosts = [rng.choices("ab", [*(before if number < place else after).values()])[0] for number in range(200)]
    seen = effective(arrivals("".join(hosts)), 0, before, after)
    assert seen
    assert seen.earliest <= seen.after <= seen.latest
    assert abs(seen.after / 0.1 - place) < 10


def of_hosts(counts: dict[str, int], declared: dict[str, int]) -> dict[str, ShareReport]:
    return {share.host: share for share in shares("a step", "m", counts, declared)}


def test_observed_shares_have_their_error_and_their_bounds():
    observed = of_hosts({"a": 70, "b": 30, "elsewhere": 0}, {"a": 60, "b": 40, "c": 0})
    assert {host: (each.declared, each.observed, each.error, each.holds) for host, each in observed.items()} == {
        "a": (60, 70.0, 10.0, True),
        "b": (40, 30.0, -10.0, True),
        "c": (0, 0.0, 0.0, True),
    }
    assert (round(observed["a"].low, 1), round(observed["a"].high, 1)) == (53.6, 82.5)


def test_nothing_observed_is_no_share():
    assert of_hosts({}, {"a": 100}) == {}


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 100))
def test_bounds_hold_what_was_observed_and_are_percentages(one: int, other: int, declared: int):
    for share in of_hosts({"a": one, "b": other}, {"a": declared, "b": 100 - declared}).values():
        assert 0 <= share.low <= share.observed <= share.high <= 100
        assert share.holds == (share.low <= share.declared <= share.high)


def test_a_true_share_is_nearly_always_within_the_bounds():
    rng = random.Random(7)
    held = [
        of_hosts({"a": (hits := sum(rng.random() < 0.3 for _ in range(200))), "b": 200 - hits}, {"a": 30})["a"].holds
        for _ in range(1_000)
    ]
    assert sum(held) > 990
