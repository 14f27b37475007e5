"""The move between two plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.diff import IdMove, LimitMove, ModelMove, Move, ShareMove, Side, move, shares_moved
from corral.plan.money import Blended, Monthly, Unpriced, sums
from corral.plan.plan import SessionHeader
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, HOSTS, LLAMA, NODES, PRICES, SCOUT, build

US = ("us-east-1", "us-east-2", "us-west-2")


def llama(shares: dict[str, int], *fallback: str, **more: Any):
    return build({LLAMA: {"shares": shares, "fallback": list(fallback), **more}})


def test_an_edited_share_moves_shares_money_and_nothing_else():
    before = llama({"bedrock": 60, "azure": 40}, "deepinfra", volume="100M")
    after = llama({"bedrock": 10, "azure": 90}, "deepinfra", volume="100M")
    assert move(before, after) == Move(
        before=sums(before),
        after=sums(after),
        models=(
            ModelMove(
                model=LLAMA,
                change="changed",
                shares=(ShareMove("azure", 40, 90), ShareMove("bedrock", 60, 10)),
                ids=(),
                before=Side(("deepinfra",), Blended(716_000, 716_000), Monthly(71_600_000, 71_600_000), 100_000_000),
                after=Side(("deepinfra",), Blended(711_000, 711_000), Monthly(71_100_000, 71_100_000), 100_000_000),
                gained=(),
                lost=(),
                gained_unknown=(),
                lost_unknown=(),
            ),
        ),
        limits=(),
    )


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({"bedrock": 60, "azure": 40}, {"bedrock": 50, "azure": 50}, 10),
        ({"bedrock": 60, "azure": 20, "vllm": 20}, {"bedrock": 50, "azure": 30, "vllm": 20}, 12),
        ({"bedrock": 60, "azure": 40}, {"lab": 60, "vllm": 40}, 100),
        ({"bedrock": 60, "azure": 40, "lab": 0}, {"bedrock": 60, "azure": 40}, 0),
    ],
)
def test_of_sessions_that_keep_their_host_it_is_said_how_many_move(
    before: dict[str, int], after: dict[str, int], moved: int
):
    (found,) = move(llama(before, affinity="prompt"), llama(after, affinity="prompt")).models
    assert found.sessions_moved == moved
    assert move(llama(before), llama(after)).models[0].sessions_moved is None


def test_sessions_that_are_kept_from_now_on_have_no_host_to_move_from():
    (found,) = move(llama({"vllm": 100}), llama({"vllm": 100}, affinity={"header": "x-session-id"})).models
    assert found.before
    assert found.after
    assert (found.before.affinity, found.after.affinity) == (None, SessionHeader("x-session-id"))
    assert found.sessions_moved is None


def test_a_host_that_comes_and_one_that_goes_change_places_and_the_one_of_unknown_place_stands_for_itself():
    before = llama({"bedrock": 100})
    after = llama({"lab": 100}, "deepinfra")
    (found,) = move(before, after).models
    assert found == ModelMove(
        model=LLAMA,
        change="changed",
        shares=(ShareMove("bedrock", 100, 0), ShareMove("lab", 0, 100)),
        ids=(),
        before=Side((), Blended(720_000, 720_000), None, None),
        after=Side(("deepinfra",), Blended(0, 0), None, None),
        gained=("eu-west-1",),
        lost=US,
        gained_unknown=("deepinfra",),
        lost_unknown=(),
    )


def test_a_drained_host_is_no_place_any_more():
    (found,) = move(llama({"bedrock": 50, "lab": 50}), llama({"bedrock": 100, "lab": 0})).models
    assert (found.shares, found.lost) == ((ShareMove("bedrock", 50, 100), ShareMove("lab", 50, 0)), ("eu-west-1",))


def test_a_model_comes_and_goes():
    one = llama({"vllm": 100})
    two = build({LLAMA: {"shares": {"vllm": 100}}, SCOUT: {"shares": {"bedrock": 100}, "volume": "1M"}})
    scout = Side((), Blended(170_000, 660_000), Monthly(170_000, 660_000), 1_000_000)
    places = ("us-east-1", "us-east-2", "us-west-1", "us-west-2")
    assert move(one, two) == Move(
        (ModelMove(SCOUT, "added", (ShareMove("bedrock", 0, 100),), (), None, scout, places, (), (), ()),),
        (),
        before=sums(one),
        after=sums(two),
    )
    assert move(two, one) == Move(
        (ModelMove(SCOUT, "removed", (ShareMove("bedrock", 100, 0),), (), scout, None, (), places, (), ()),),
        (),
        before=sums(two),
        after=sums(one),
    )


def test_a_stack_that_is_new_adds_all_of_its_models():
    plan = llama({"vllm": 100})
    assert [each.change for each in move(None, plan).models] == ["added"]
    assert [each.change for each in move(plan, None).models] == ["removed"]


def test_another_id_at_a_host_is_a_move():
    before = llama({"lab": 100})
    after = build(
        {LLAMA: {"shares": {"lab": 100}}},
        {"lab": {"kind": "openai", "url": "https://lab.example.com/v1", "models": {LLAMA: "Llama-New"}}},
    )
    (found,) = move(before, after).models
    assert found.ids == (IdMove("lab", "Llama-Lab", "Llama-New"),)
    assert found.after == Side((), Unpriced(("lab",)), None, None)


def test_a_changed_limit_is_a_move():
    before = llama({"vllm": 100})
    after = replace(before, request_settings=replace(before.request_settings, idle_timeout=60_000))
    limit = LimitMove("idle_timeout", before.request_settings.idle_timeout, 60_000)
    assert move(before, after) == Move((), (limit,), before=sums(before), after=sums(after))


def test_nodes_that_cost_more_are_a_move_and_the_sums_say_so():
    one, two = ({"vllm": {**HOSTS["vllm"], "gpus": {**NODES, "min": least}}} for least in (1, 2))
    before, after = (build({LLAMA: {"shares": {"vllm": 100}, "volume": "1M"}}, hosts) for hosts in (one, two))
    assert move(before, after) == Move((), (), before=sums(before), after=sums(after))
    assert [sums(plan).nodes.least for plan in (before, after)] == [730 * 10_000_000, 2 * 730 * 10_000_000]
    assert bool(move(before, after))
    assert not move(before, before)


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param(
            llama({"bedrock": 60, "vllm": 40}),
            llama({"bedrock": 20, "vllm": 80}),
            [f"{LLAMA}: bedrock 60% → 20%, vllm 40% → 80%"],
            id="shares",
        ),
        pytest.param(
            llama({"vllm": 100}, "lab"),
            llama({"vllm": 100}, "deepinfra", "lab"),
            [f"{LLAMA}: fallback deepinfra, then lab"],
            id="fallbacks",
        ),
        pytest.param(llama({"vllm": 100}, "lab"), llama({"vllm": 100}), [f"{LLAMA}: fallback none"], id="no_fallback"),
        pytest.param(llama({"vllm": 100}), llama({"vllm": 100}, volume="5M"), [], id="neither"),
    ],
)
def test_what_moved_is_said_in_a_line_per_model(before: Any, after: Any, want: list[str]):
    assert shares_moved(before, after) == want


@given(stacks())
def test_a_plan_has_no_move_to_itself(said: dict[str, Any]):
    plan = planning.build(Stack.model_validate(said), CATALOG, PRICES)
    assert not move(plan, plan)


@given(stacks(serving=True), stacks(serving=True))
def test_shares_before_and_after_a_move_each_sum_to_what_the_plan_gives(one: dict[str, Any], other: dict[str, Any]):
    before, after = (planning.build(Stack.model_validate(said), CATALOG, PRICES) for said in (one, other))
    for found in move(before, after).models:
        (plan,) = (model for model in after.models if model.name == found.model)
        assert sum(share.after for share in found.shares) == sum(target.share for target in plan.targets)
