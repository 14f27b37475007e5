"""What advice gives: beside every whole set of shares that there is, and what holds it there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.cli.advise import solver
from corral.plan.advice import Advice, advise
from corral.plan.checks.run import check
from corral.plan.plan import Load, Plan
from corral.plan.programme import Bound, optimal, programme_of
from corral.plan.ramps import with_shares
from tests.plan.world import HOSTS, LLAMA, TODAY, build

pytest.importorskip("highspy")

PRICES = {"bedrock": 720_000, "azure": 710_000, "deepinfra": 265_000}
"""The middle of the prices for prompt and answer."""


def planned(shares: dict[str, int], limits: dict[str, int], **more: Any) -> Plan:
    """A billion tokens a month, and a peak of 100,000 a minute; `limits` in thousand tokens a minute."""
    named = {
        host: {**HOSTS[host], "limits": {"perModel": {LLAMA: {"tokensPerMinute": 1_000 * limit}}}}
        for host, limit in limits.items()
    }
    model = {"shares": shares, "peak": {"tokensPerMinute": 100_000}, "volume": 10**9, **more.pop("model", {})}
    return build({LLAMA: model}, named, **more)


def advised(plan: Plan) -> Advice:
    advice = advise(plan, solver, TODAY)
    assert advice is not None
    return advice


LOST = [f"lost/{LLAMA}/{what}" for what in ("bedrock", "azure", "deepinfra", "us-east-1")]


def test_the_cheapest_host_gets_what_it_takes_and_the_bound_says_what_more_would_save():
    plan = planned({"bedrock": 50, "azure": 40, "deepinfra": 10}, {"bedrock": 90, "azure": 90, "deepinfra": 60})
    advice = advised(plan)
    assert advice.shares == {LLAMA: {"azure": 39, "bedrock": 1, "deepinfra": 60}}
    (binding,) = advice.bindings
    assert binding.bound == Bound("limit", "deepinfra", LLAMA, step=Load(tokens=1_000))
    assert binding.saving == 10 * (PRICES["azure"] - PRICES["deepinfra"])
    assert (advice.over, advice.kept) == (0, {})


def test_a_declared_least_share_is_left_and_costs_what_the_bound_says():
    hosts = {"bedrock": 90, "azure": 90, "deepinfra": 60}
    plan = planned({"bedrock": 50, "azure": 40, "deepinfra": 10}, hosts, model={"leastShares": {"bedrock": 20}})
    advice = advised(plan)
    assert advice.shares == {LLAMA: {"azure": 20, "bedrock": 20, "deepinfra": 60}}
    savings = {(each.bound.kind, each.bound.host): each.saving for each in advice.bindings}
    assert savings == {("limit", "deepinfra"): 4_450_000, ("least share", "bedrock"): 100_000}


def test_a_host_whose_limit_is_unknown_gets_no_more_than_it_has():
    plan = planned({"bedrock": 90, "deepinfra": 10}, {"bedrock": 100}, accept=LOST)
    advice = advised(plan)
    assert advice.shares == {}
    assert [(each.bound.kind, each.bound.host) for each in advice.bindings] == [("unknown limit", "deepinfra")]


def test_a_host_at_0_that_the_residency_forbids_stays_there_and_says_why():
    plan = planned({"azure": 0, "bedrock": 100}, {"azure": 100, "bedrock": 100}, accept=LOST, residency=["us"])
    advice = advised(plan)
    assert advice.shares == {}
    (binding,) = advice.bindings
    assert (binding.bound.kind, binding.bound.host) == ("refused", "azure")
    assert "global" in binding.bound.why


def test_a_model_without_a_peak_and_one_on_a_ramp_keep_their_shares():
    model = {"shares": {"bedrock": 50, "deepinfra": 50}}
    assert advised(build({LLAMA: model})).kept == {LLAMA: f"it has no peak: give corral:models.{LLAMA}.peak"}
    ramp = {LLAMA: {"to": {"deepinfra": 60}}}
    plan = planned({"bedrock": 50, "deepinfra": 50}, {"bedrock": 100, "deepinfra": 100}, ramps=ramp)
    assert advised(plan).kept == {LLAMA: "it is on a ramp"}


ON_CLUSTER: dict[str, Any] = {"engine": {"kind": "kubernetes"}, "cluster": {"kubeconfig": "kubeconfig"}}
FREE = {"models": {LLAMA: {"price": {"input": 0, "output": 0}}}, "region": "us-west-2"}


def with_vllm(limits: dict[str, int], *accept: str) -> Plan:
    """Bedrock, Azure and a vLLM whose tokens cost nothing, and which has too many requests wait."""
    vllm = {**HOSTS["vllm"], **FREE, "limits": {"tokensPerMinute": 1_000 * limits["vllm"]}}
    others = {
        host: {**HOSTS[host], "limits": {"tokensPerMinute": 1_000 * limits[host]}} for host in ("bedrock", "azure")
    }
    peak = {"tokensPerMinute": 100_000}
    model = {"shares": {"bedrock": 60, "azure": 30, "vllm": 10}, "peak": peak, "volume": 10**9}
    return build({LLAMA: model}, {**others, "vllm": vllm}, accept=list(accept), **ON_CLUSTER)


def errors(plan: Plan) -> list[str]:
    return [finding.name for finding in check(plan, TODAY) if finding.level == "error"]


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 100), st.integers(60, 110), st.integers(60, 110))
def test_a_vllm_gets_as_much_as_it_holds_with_every_host_lost_and_no_plan_is_refused(
    vllm: int, bedrock: int, azure: int
):
    """No share of it that is larger by three points is carried, however the rest is split between the others."""
    plan = with_vllm({"vllm": vllm, "bedrock": bedrock, "azure": azure}, f"lost/{LLAMA}/vllm")
    if errors(plan):
        return
    advice = advised(plan)
    assert errors(with_shares(plan, advice.shares)) == []
    share = advice.shares.get(LLAMA, {"vllm": 10})["vllm"]
    more = share + 3
    splits = ({"vllm": more, "bedrock": 100 - more - rest, "azure": rest} for rest in range(0, max(0, 101 - more), 4))
    assert all(errors(with_shares(plan, {LLAMA: split})) for split in splits)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(20, 130)] * 3), st.integers(0, 30))
def test_no_whole_shares_within_the_bounds_cost_less(limits: tuple[int, int, int], least: int):
    hosts: dict[str, int] = dict(zip(("azure", "bedrock", "deepinfra"), limits, strict=True))
    model = {"leastShares": {"bedrock": least}, "fallback": []}
    shares = {"azure": 34, "bedrock": 33, "deepinfra": 33}
    plan = planned(shares, hosts, model=model, accept=[*LOST, f"peak/{LLAMA}"])
    advice = advised(plan)
    moved = advice.shares.get(LLAMA, shares)

    def cost(split: dict[str, int]) -> int:
        return sum(PRICES[host] * points for host, points in split.items())

    splits: Iterator[dict[str, int]] = (
        {"azure": azure, "bedrock": bedrock, "deepinfra": 100 - azure - bedrock}
        for azure in range(101)
        for bedrock in range(least, 101 - azure)
    )
    within = (split for split in splits if all(split[host] <= max(hosts[host], shares[host]) for host in split))
    assert cost(moved) == min(map(cost, within))


def test_a_limit_over_all_models_is_shared_by_those_that_save_most():
    peak = {"tokensPerMinute": 100_000}

    def at(a: int, b: int) -> dict[str, Any]:
        return {name: {"id": name, "price": {"input": price, "output": price}} for name, price in (("a", a), ("b", b))}

    cheap = {**HOSTS["deepinfra"], "models": at(0, 0), "limits": {"tokensPerMinute": 100_000}}
    lab = {**HOSTS["lab"], "models": at(1, 3), "limits": {"tokensPerMinute": 200_000}}
    model = {"shares": {"lab": 50, "deepinfra": 50}, "peak": peak, "volume": 10**9}
    plan = build({"a": model, "b": model}, {"deepinfra": cheap, "lab": lab})
    programme = programme_of(plan.models, plan.engine)
    _, optimum = optimal(programme, solver)
    assert optimum is not None
    shares = {(each.model, each.host): round(x) for each, x in zip(programme.variables, optimum.shares, strict=True)}
    assert shares == {("a", "deepinfra"): 0, ("a", "lab"): 100, ("b", "deepinfra"): 100, ("b", "lab"): 0}


def test_whole_percents_of_models_that_share_a_limit_cost_hardly_more_than_the_least_there_is():
    draw = random.Random(3)
    hosts = {f"h{at}": {"kind": "openai", "url": f"https://h{at}.example.com/v1"} for at in range(6)}

    def at(model: int) -> dict[str, Any]:
        return {"id": f"m{model}", "price": {"input": draw.randrange(1, 90) / 100, "output": 1}}

    declared = {
        name: {
            **host,
            "models": {f"m{model}": at(model) for model in range(8)},
            "limits": {"tokensPerMinute": draw.randrange(250_000, 400_000)},
        }
        for name, host in hosts.items()
    }
    shares = dict(zip(hosts, (17, 17, 17, 17, 16, 16), strict=True))
    models = {
        f"m{model}": {
            "shares": shares,
            "peak": {"tokensPerMinute": draw.randrange(90_000, 150_000)},
            "volume": draw.randrange(10**8, 10**10),
        }
        for model in range(8)
    }
    plan = build(models, declared, accept=[f"lost/{model}/{host}" for model in models for host in hosts])
    advice = advised(plan)
    assert advice.shares.keys() == models.keys()
    assert 0 <= advice.over * 100 <= advice.least
