"""Which hosts of a model answer what not all of them take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given

from corral.catalog.catalog import Takes
from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.capabilities import Answering, answering, in_words, lacking, needs
from tests.plan.strategies import stacks
from tests.plan.world import BEDROCK, CATALOG, HOSTS, LLAMA, PRICES, build


def test_what_the_adapter_does_itself_is_no_lack_on_the_local_engine() -> None:
    whole = replace(BEDROCK, takes=Takes(streaming=False, tools_while_streaming=False, seed=False))
    assert lacking(whole, "local") == ("seed", "messages", "rerank")
    assert lacking(whole, "kubernetes") == ("streaming", "seed")
    taking = replace(whole, takes=whole.takes.model_copy(update={"messages": True, "rerank": True}))
    assert lacking(taking, "local") == ("seed", "messages", "rerank")
    assert lacking(replace(taking, protocol="openai"), "local") == ("streaming", "seed")
    assert lacking(BEDROCK, "kubernetes") == ("tools_while_streaming", "vision")


def test_needs_with_the_same_hosts_stand_together_with_the_shares_that_are_left_of_a_hundred() -> None:
    (model,) = build(
        {LLAMA: {"shares": {"azure": 20, "bedrock": 60, "vllm": 15, "lab": 5}, "fallback": ["deepinfra"]}},
        {
            "bedrock": {"takes": {"jsonMode": False, "seed": False}},
            "deepinfra": {"takes": {"vision": False}},
            "lab": {**HOSTS["lab"], "takes": {"vision": False}},
            "azure": {**HOSTS["azure"], "takes": {"vision": False}},
        },
    ).models
    answers = answering(model)
    assert answers == (
        Answering(
            needs=("tools", "output>8192"),
            what=("tools", "more than 8,192 tokens"),
            shares={"bedrock": 75, "lab": 6, "vllm": 19},
            fallbacks=("deepinfra",),
            of_shares=80,
        ),
        Answering(needs=("vision",), what=("vision",), shares={}, fallbacks=(), of_shares=0),
        Answering(
            needs=("jsonMode", "seed"),
            what=("JSON mode", "seed"),
            shares={"azure": 50, "lab": 13, "vllm": 37},
            fallbacks=("deepinfra",),
            of_shares=40,
        ),
    )
    assert in_words(answers[2]) == "JSON mode, seed: azure 50 %, lab 13 %, vllm 37 %, then deepinfra (40 % of shares)"


@given(stacks())
def test_exactly_the_hosts_that_take_something_answer_it_and_their_shares_are_a_hundred(said: dict[str, Any]) -> None:
    for model in planning.build(Stack.model_validate(said), CATALOG, PRICES).models:
        lacked = {need.name: need.lacked_by for need in needs(model) if need.limit is None}
        answered = {name: each for each in answering(model) for name in each.needs}
        for name, hosts in lacked.items():
            assert {*answered[name].hosts} == {target.host for target in model.live} - hosts
            assert sum(answered[name].shares.values()) == (100 if answered[name].shares else 0)
            assert answered[name].of_shares == sum(model.shares[host] for host in answered[name].shares)
