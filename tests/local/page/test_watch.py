"""What the page is told of an engine, snapshot by snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from corral.local.page.state import Snapshot
from corral.local.page.watch import Watch, pause_seconds
from corral.local.statistics.readings import Bin, Series, Timed
from corral.plan.plan import Load, Plan
from tests.local.page.snapshots import MOVED, PLAN, START, members, requests, snapshot, tokens
from tests.plan.world import LLAMA

URL = "http://127.0.0.1:8080/v1"


def watch(*snapshots: Snapshot) -> Watch:
    seen = Watch(URL)
    for each in snapshots:
        seen.observe(each)
    return seen


def host(**more: Any) -> dict[str, Any]:
    """A host that nobody asked."""
    return {
        "order": 0,
        "role": "share",
        "share": 0,
        "rps": 0,
        "failedAttempts": 0,
        "state": "ok",
        "ejections": 0,
        **more,
    }


def marks(seen: Watch) -> list[tuple[int, str, str, str, str]]:
    """Seconds from the start, kind, model, host, text."""
    return [
        ((mark["at"] - START) // 1000, mark["kind"], mark.get("model", ""), mark.get("host", ""), mark["text"])
        for mark in seen.state()["marks"].values()
    ]


def test_the_whole_state():
    answered = requests("bedrock", 57) + requests("deepinfra", 43) + requests("", 2, 503)
    counted = tokens("bedrock", 570_000, 57_000) + tokens("deepinfra", 430_000, 43_000)
    durations = Counter({Timed("duration", LLAMA, "bedrock", Bin(10, 1)): 100})
    first = Counter({Timed("first_byte", LLAMA, "bedrock", Bin(4, 1)): 100})
    seen = watch(
        snapshot(0, Counter(), times=Counter()),
        snapshot(5, answered + counted, times=durations + first, simulated={"deepinfra": "no key", "bedrock": None}),
    )
    assert seen.state() == {
        "stack": PLAN.stack,
        "url": URL,
        "problem": "",
        "rps": 20.4,
        "tps": 220_000,
        "serverErrors": 2,
        "clientErrors": 0,
        "ejected": 0,
        "unpriced": 0,
        "cost": 325_036_800 + 52_632_000,
        "models": {
            LLAMA: {
                "rps": 20.4,
                "tps": 220_000,
                "p50": 10.5,
                "p99": 11,
                "firstByte": 4.5,
                "serverErrors": 2,
                "clientErrors": 0,
                "cost": 325_036_800 + 52_632_000,
                "trouble": "2 server errors",
                "hosts": {
                    "azure": host(role="drained", observed=0, tps=0, cost=0, state="drained"),
                    "bedrock": host(
                        order=1,
                        share=60,
                        observed=57,
                        rps=11.4,
                        tps=125_400,
                        p50=10.5,
                        p99=11,
                        firstByte=4.5,
                        cost=325_036_800,  # 627,000 tokens in 5 s at $0.72 a million
                    ),
                    "deepinfra": host(
                        order=2,
                        share=40,
                        observed=43,
                        rps=8.6,
                        tps=94_600,
                        cost=52_632_000,  # 430,000 at $0.13 and 43,000 at $0.40 a million, in 5 s
                        simulated="no key",
                    ),
                    "lab": host(order=3, role="fallback", observed=0, tps=0, cost=0),
                },
            }
        },
        "marks": {},
    }


def test_what_is_unknown_is_absent_and_not_zero():
    idle = watch(snapshot(0, Counter()), snapshot(1, Counter())).state()["models"][LLAMA]
    assert ("observed" in idle["hosts"]["bedrock"], "p50" in idle, idle["tps"], idle["cost"]) == (False, False, 0, 0)
    silent = watch(snapshot(0, Counter()), snapshot(1, requests("bedrock", 5))).state()["models"][LLAMA]
    assert ("tps" in silent, "cost" in silent) == (False, False)


def test_what_was_counted_before_the_first_snapshot_is_not_taken_for_the_present():
    before = requests("bedrock", 1000)
    seen = watch(snapshot(0, before), snapshot(1, before + requests("deepinfra", 10)))
    assert [seen.state()["models"][LLAMA]["hosts"][name]["rps"] for name in ("bedrock", "deepinfra")] == [0, 10]


def test_a_move_is_marked_and_the_observed_shares_begin_anew():
    before, after = (
        requests("bedrock", 60) + requests("deepinfra", 40),
        requests("deepinfra", 9) + requests("bedrock", 1),
    )
    seen = watch(
        snapshot(0, Counter()), snapshot(1, before), snapshot(2, before, MOVED), snapshot(3, before + after, MOVED)
    )
    hosts = seen.state()["models"][LLAMA]["hosts"]
    assert {name: (of["share"], of["observed"]) for name, of in hosts.items()} == {
        "azure": (0, 0),
        "bedrock": (10, 10),
        "deepinfra": (90, 90),
        "lab": (0, 0),
    }
    assert marks(seen) == [(2, "move", LLAMA, "", "bedrock 60% → 10%, deepinfra 40% → 90%")]


def test_a_move_does_not_hide_errors():
    seen = watch(snapshot(0, Counter()), snapshot(1, requests("", 3, 503)), snapshot(2, requests("", 3, 503), MOVED))
    assert seen.state()["models"][LLAMA]["serverErrors"] == 3


def test_a_host_that_is_ejected_is_marked_counted_and_told():
    ejected = members("bedrock")
    seen = watch(
        snapshot(0, Counter()), snapshot(1, Counter(), ejected=ejected), snapshot(2, Counter(), ejected=ejected)
    )
    state = seen.state()
    bedrock = state["models"][LLAMA]["hosts"]["bedrock"]
    assert (bedrock["state"], bedrock["ejections"], state["ejected"]) == ("ejected", 1, 1)
    assert state["models"][LLAMA]["trouble"] == "bedrock is left out"
    seen.observe(snapshot(3, Counter()))
    assert marks(seen) == [
        (1, "ejected", LLAMA, "bedrock", "bedrock is left out"),
        (3, "returned", LLAMA, "bedrock", "bedrock is back"),
    ]


def test_a_fault_is_marked_from_its_beginning_to_its_end():
    seen = watch(snapshot(0, Counter()), snapshot(1, Counter(), faults={"bedrock": "503"}), snapshot(2, Counter()))
    assert marks(seen) == [
        (1, "fault", "", "bedrock", "bedrock is made to fail: 503"),
        (2, "recovered", "", "bedrock", "bedrock is well again"),
    ]


def test_a_host_most_of_whose_attempts_fail_is_failing():
    tried = Counter({Series("attempts", LLAMA, "bedrock", 503): 4, Series("attempts", LLAMA, "bedrock", 200): 3})
    bedrock = watch(snapshot(0, Counter()), snapshot(1, tried)).state()["models"][LLAMA]["hosts"]["bedrock"]
    assert (bedrock["state"], bedrock["failedAttempts"]) == ("failing", 4)


def test_an_engine_that_does_not_answer_is_said_and_marked_once():
    seen = watch(snapshot(0, Counter()))
    seen.mark_unavailable("Envoy's admin interface does not answer.", START + 1000)
    seen.mark_unavailable("Envoy's admin interface does not answer.", START + 2000)
    assert seen.state()["problem"] == "Envoy's admin interface does not answer."
    seen.observe(snapshot(3, Counter()))
    assert (seen.state()["problem"], marks(seen)) == (
        "",
        [(1, "engine", "", "", "Envoy does not answer"), (3, "engine", "", "", "Envoy answers again")],
    )


def test_a_stack_file_that_is_not_in_force_is_said_beside_an_engine_that_does_not_answer():
    refused = replace(snapshot(1, Counter()), file_problem="The shares sum to 101.")
    seen = watch(snapshot(0, Counter()), refused)
    assert seen.state()["problem"] == "The shares sum to 101."
    seen.mark_unavailable("Envoy's admin interface does not answer.", START + 2000)
    assert seen.state()["problem"] == "Envoy's admin interface does not answer.\nThe shares sum to 101."
    seen.observe(snapshot(3, Counter()))
    assert seen.state()["problem"] == ""


def test_before_the_first_snapshot_there_is_a_state_as_well():
    assert Watch(URL).state() == {"problem": "Nothing has been seen yet.", "models": {}, "marks": {}}


def test_the_history_of_a_model_has_points_and_what_was_declared():
    many = [requests("bedrock", 10 * second) for second in range(5)]
    seen = watch(*(snapshot(second, many[second], PLAN if second < 3 else MOVED) for second in range(5)))
    declared = {"azure": 0, "bedrock": 60, "deepinfra": 40, "lab": 0}
    assert seen.history(LLAMA) == {
        "points": [[START + 2000, {"bedrock": 10}], [START + 4000, {"bedrock": 10}]],
        "declared": [[START, declared], [START + 3000, {**declared, "bedrock": 10, "deepinfra": 90}]],
    }
    assert seen.history("no such model") is None


COUNTED = st.dictionaries(
    st.builds(
        Series,
        st.sampled_from(["requests", "attempts", "input_tokens", "output_tokens", "limited"]),
        st.sampled_from([LLAMA, "-", "another"]),
        st.sampled_from(["bedrock", "deepinfra", "lab", "gone", ""]),
        st.sampled_from([0, 200, 404, 503]),
    ),
    st.integers(1, 1000),
    max_size=6,
).map(Counter)
SEEN = st.tuples(
    COUNTED, st.booleans(), st.booleans(), st.dictionaries(st.sampled_from(["bedrock", "lab"]), st.just("hang"))
)


def leaves(state: object) -> Iterator[object]:
    if isinstance(state, dict):
        for value in cast("dict[str, object]", state).values():
            yield from leaves(value)
    else:
        yield state


@given(st.lists(SEEN, max_size=8))
def test_whatever_is_seen_the_state_is_objects_down_to_texts_and_numbers(
    steps: list[tuple[Counter[Series], bool, bool, dict[str, str]]],
):
    seen = Watch(URL)
    total: Counter[Series] = Counter()
    for second, (more, moved, ejected, faults) in enumerate(steps):
        total = total + more
        plan, hosts = MOVED if moved else PLAN, ["bedrock"] if ejected else []
        seen.observe(snapshot(second, total, plan, ejected=members(*hosts), faults=faults))
        assert {type(leaf) for leaf in leaves(seen.state())} <= {str, int, float}


def test_a_peak_says_what_of_its_limit_a_host_gets_and_with_which_losses_it_is_carried():
    """The plan of an edit has its own."""
    limits = {"bedrock": Load(tokens=100_000), "deepinfra": Load(tokens=50_000)}

    def peaking(plan: Plan, tokens: int) -> Plan:
        model = plan.models[0]
        targets = tuple(replace(target, limit=limits.get(target.host, Load(tokens=1_000))) for target in model.targets)
        return replace(plan, models=(replace(model, targets=targets, peak=Load(tokens=tokens)), *plan.models[1:]))

    def said(seen: Watch) -> tuple[str, dict[str, int]]:
        model = seen.state()["models"][LLAMA]
        return model["peak"], {name: host["peak"] for name, host in model["hosts"].items() if "peak" in host}

    moments = enumerate((40, 80_000))
    quiet, busy = (replace(snapshot(at, Counter()), plan=peaking(PLAN, tokens)) for at, tokens in moments)
    assert said(watch(quiet)) == ("carried, with any one lost", {"bedrock": 1, "deepinfra": 1})
    assert said(watch(quiet, busy)) == ("not carried without bedrock", {"bedrock": 48, "deepinfra": 64})


def test_what_a_month_costs_by_the_plan_is_shown_where_the_stack_declares_a_volume():
    model = replace(PLAN.models[0], volume=1_000_000_000)
    declared = replace(snapshot(0, Counter()), plan=replace(PLAN, models=(model, *PLAN.models[1:])))
    assert "month" not in watch(snapshot(0, Counter())).state()
    assert watch(declared).state()["month"] == {"tokens": [484_000_000, 592_000_000], "nodes": [0, 0], "unknown": 0}


def test_while_nobody_watches_half_as_often_and_never_so_seldom_that_an_ejection_is_missed() -> None:
    def pauses(ejection_time: int) -> tuple[float, float]:
        plan = replace(PLAN, request_settings=replace(PLAN.request_settings, ejection_time=ejection_time))
        return pause_seconds(plan, watched=True), pause_seconds(plan, watched=False)

    assert [pauses(time) for time in (0, 1_000, 3_000, 10_000)] == [(0.5, 0.5), (0.5, 0.5), (1.0, 1.5), (1.0, 2.0)]
