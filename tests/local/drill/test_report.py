from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from corral.local.drill.record import Exhausted, Failed, Moved, Refused, Result
from corral.local.drill.report import BrokenReport, LimitReport, StepReport, report
from corral.local.drill.script import Break, Exhaust, Fail, Move
from corral.local.drill.text import to_json
from tests.local.drill.recorded import alone, record, with_loss
from tests.plan.world import LLAMA

STARTED = "2026-11-21T15:00:00+00:00"


def test_a_drill_without_a_loss_has_no_problems():
    found = report(record(), STARTED)
    assert (found.requests, found.streamed, found.lost, found.cut_short) == (140, 140, 0, 0)
    assert (found.problems, found.reasons, found.ended_early) == ((), {}, False)
    assert found.refused_by_limit == 12


def test_a_lost_request_is_a_problem_and_its_reason_is_told():
    found = report(with_loss(record()), STARTED)
    assert (found.lost, found.problems) == (1, ("1 request was lost",))
    assert found.reasons == {"HTTP 503 no_host_left": 1}
    assert [second.at for second in found.timeline if second.lost] == [3]


def test_a_failure_tells_who_met_it_and_how_long_it_cost_them():
    of_failures = {each.title: each for each in report(record(), STARTED).failures}
    assert asdict(of_failures["azure: answers 503"]) == {
        "title": "azure: answers 503",
        "met": 1,
        "first_answer": pytest.approx(400),
        "usual": pytest.approx(20),
        "slowest": pytest.approx(300),
        "left_out": pytest.approx(400),
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


def test_shares_are_counted_from_when_an_edit_is_in_force_and_beside_the_right_declaration():
    found = report(record(), STARTED).shares
    assert [(each.title, each.host, each.share.declared, each.share.requests) for each in found] == [
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
    found = report(record(), STARTED)
    assert [(each.what, each.pairs, each.direct, each.through) for each in found.latency] == [
        ("whole answer", 3, (2, 2), (3, 3)),
        ("first piece of a stream", 3, (2, 2), (3, 3)),
    ]
    assert [each.added for each in found.latency] == [pytest.approx((1, 1))] * 2
    assert found.limit == LimitReport("drill-limited", "requests", 60, 60, 12, 12, {}, 10, 0)
    assert found.broken == (
        BrokenReport("save a file that is not YAML", "it is refused", True),
        BrokenReport("save shares that do not sum to 100", "it is refused", True),
    )
    assert found.differences == (
        "connectTimeout is 1 s instead of 5 s",
        "idleTimeout is 3 s instead of 120 s",
        "ejectionTime is 1 s instead of 10 s",
        "it has tenants more: drill and drill-limited",
    )


@pytest.mark.parametrize(
    ("kind", "result", "problem"),
    [
        (Move, Moved(2.0, None), "swap shares: the edit never came into force"),
        (Fail, Failed(7.0, {}, 7.5, None), "azure: answers 503: not back in its place"),
        (Break, Refused(None, unchanged=True), "save a file that is not YAML: nothing was said of it"),
        (Break, Refused("said", unchanged=False), "save a file that is not YAML: the plan in force has changed"),
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
    found = report(alone(), STARTED)
    assert (found.ended_early, found.requests, found.problems) == (True, 0, ())
    assert [step.title for step in found.steps if step.skipped] == [
        "move shares",
        "a host: answers 503",
        "a host: refuses connections",
        "a host: hangs",
        "a host: slow first byte",
        "a host: answers 429",
        "all sharing hosts: answer 503",
        "a tenant exceeds its limit",
    ]
    assert found.steps[-3].skipped == f"azure is the only host of {LLAMA}"
    assert found.steps[:2] == (
        StepReport("the gateway beside azure itself", 0, 1, None),
        StepReport("shares as declared", None, None, None),
    )


def test_a_report_is_json_in_camel_case_but_for_names():
    found = json.loads(json.dumps(to_json(report(with_loss(record()), STARTED))))
    assert found["timeline"][3]["answered"] == {LLAMA: {"azure": 1, "vllm": 9}}
    assert (found["endedEarly"], found["limit"]["withRetryAfter"], found["said"]) == (
        False,
        12,
        [[1.5, "azure is left out of it."]],
    )
