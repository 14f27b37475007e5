from __future__ import annotations

import copy
import random
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.plan import ModelPlan, Plan
from corral.plan.public_json import content_hash
from tests.plan.strategies import shuffled, stacks
from tests.plan.world import CATALOG, LLAMA, PRICES


def build(said: dict[str, Any]) -> Plan:
    return planning.build(Stack.model_validate(said), CATALOG, PRICES)


def modelled(said: dict[str, Any]) -> list[tuple[dict[str, Any], ModelPlan]]:
    return [(said["models"][model.name], model) for model in build(said).models]


@given(stacks(serving=True))
def test_the_weights_of_each_priority_sum_to_100_and_priorities_count_up_from_0(said: dict[str, Any]) -> None:
    (_, model), *_ = modelled(said)
    priorities = [target.priority for target in model.targets]
    assert set(priorities) == set(range(priorities[-1] + 1))
    assert all(
        sum(target.weight for target in model.targets if target.priority == priority) == 100 for priority in priorities
    )


@given(stacks())
def test_targets_stand_in_order_of_priority_and_of_name_within_one(said: dict[str, Any]) -> None:
    for _, model in modelled(said):
        places = [(target.priority, target.host) for target in model.targets]
        assert all(before < after for before, after in pairwise(places))


@given(stacks())
def test_nobody_with_a_share_is_lost_and_nobody_gets_another_one(said: dict[str, Any]) -> None:
    for given_model, model in modelled(said):
        shares = {each.host: each.share for each in (*model.targets, *model.unserved) if each.share}
        assert shares == {host: share for host, share in given_model["shares"].items() if share}
        assert all(target.weight == target.share for target in model.targets if target.share)


@given(stacks())
def test_fallbacks_come_in_the_order_of_the_stack(said: dict[str, Any]) -> None:
    for given_model, model in modelled(said):
        absent = {each.host for each in model.unserved}
        assert [target.host for target in model.fallbacks] == [
            host for host in given_model["fallback"] if host not in absent and not given_model["shares"].get(host)
        ]
        assert [target.priority for target in model.fallbacks] == list(range(1, len(model.fallbacks) + 1))


@given(stacks())
def test_a_drained_host_has_weight_0_unless_it_is_a_fallback(said: dict[str, Any]) -> None:
    for given_model, model in modelled(said):
        drained = {host for host, share in given_model["shares"].items() if not share} - set(given_model["fallback"])
        absent = {each.host for each in model.unserved}
        assert {target.host for target in model.targets if not target.live} == drained - absent


@given(stacks())
def test_what_reaches_a_host_is_known_or_unknown_but_never_nothing(said: dict[str, Any]) -> None:
    for _, model in modelled(said):
        assert all(target.reaches != () for target in model.targets)


@given(stacks(), st.integers())
def test_the_order_of_mappings_changes_neither_the_plan_nor_its_hash(said: dict[str, Any], seed: int) -> None:
    other = shuffled(said, random.Random(seed))
    assert build(other) == build(said)
    assert content_hash(build(other)) == content_hash(build(said))


@given(stacks(serving=True), st.integers(1, 100))
def test_the_hash_changes_when_a_share_moves(said: dict[str, Any], moved: int) -> None:
    shares = said["models"][LLAMA]["shares"]
    assume(len(shares) > 1)
    giver = max(shares, key=lambda host: shares[host])
    taker = min(shares, key=lambda host: shares[host])
    assume(shares[giver] >= moved and giver != taker)
    other = copy.deepcopy(said)
    other["models"][LLAMA]["shares"] |= {giver: shares[giver] - moved, taker: shares[taker] + moved}
    assert content_hash(build(other)) != content_hash(build(said))


@given(stacks(serving=True))
def test_the_hash_changes_when_the_order_of_fallbacks_does(said: dict[str, Any]) -> None:
    model = said["models"][LLAMA]
    behind = [host for host in model["fallback"] if not model["shares"].get(host)]
    assume(len(behind) > 1)
    other = copy.deepcopy(said)
    other["models"][LLAMA]["fallback"].reverse()
    assert content_hash(build(other)) != content_hash(build(said))
