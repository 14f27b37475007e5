"""The hash of a model's routing: it changes with what decides where a request goes, and with nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from corral.plan.plan import Plan, Price
from corral.plan.public_json import content_hash
from corral.plan.trace import model_hash, summary, trace
from tests.plan.world import LLAMA, SCOUT, build

MODELS = {
    LLAMA: {"shares": {"bedrock": 60, "lab": 40}, "fallback": ["deepinfra"]},
    SCOUT: {"shares": {"bedrock": 100}},
}
PLAN = build(MODELS)


def hashes(plan: Plan) -> list[str]:
    return [model_hash(model, plan) for model in plan.models]


def test_it_is_twelve_digits_and_each_model_has_its_own():
    assert [re.fullmatch(r"[0-9a-f]{12}", each) is not None for each in hashes(PLAN)] == [True, True]
    assert len(set(hashes(PLAN))) == 2


def test_an_edit_of_one_models_shares_changes_its_hash_and_no_other():
    moved = build({**MODELS, LLAMA: {"shares": {"bedrock": 61, "lab": 39}, "fallback": ["deepinfra"]}})
    assert [one == other for one, other in zip(hashes(PLAN), hashes(moved), strict=True)] == [False, True]


def test_what_decides_where_a_request_goes_changes_it():
    llama = hashes(PLAN)[0]
    others = [
        build({**MODELS, LLAMA: {"shares": {"bedrock": 60, "lab": 40}, "fallback": []}}),
        build({**MODELS, LLAMA: {**MODELS[LLAMA], "residency": ["us", "eu"]}}),
        build(MODELS, {"lab": {"kind": "openai", "url": "https://other.example.com/v1", "models": {LLAMA: "Llama"}}}),
        build(MODELS, {"bedrock": {"regions": ["us-east-1"]}}),
        build(MODELS, tenants={"search": {"residency": ["us"]}}),
    ]
    assert [hashes(other)[0] == llama for other in others] == [False] * len(others)


def test_a_price_a_date_of_the_catalog_a_tenant_without_residency_and_the_commit_leave_it():
    model = PLAN.models[0]
    later = tuple(replace(each, price=Price(1, 1, "x"), as_of=date(2027, 1, 1)) for each in model.targets)
    priced = replace(PLAN, models=(replace(model, targets=later, volume=7), PLAN.models[1]), commit="c" * 40)
    assert hashes(priced) == hashes(build(MODELS, tenants={"search": {}})) == hashes(PLAN)
    assert content_hash(priced) != content_hash(PLAN)


def test_a_trace_says_the_commit_or_that_it_is_unknown():
    llama, scout = hashes(PLAN)
    assert trace(PLAN.models[0], PLAN) == {"plan": llama, "commit": "unknown"}
    assert trace(PLAN.models[0], replace(PLAN, commit="c0ffee-dirty"))["commit"] == "c0ffee-dirty"
    whole = {"hash": content_hash(PLAN), "commit": None, "models": {LLAMA: llama, SCOUT: scout}}
    assert summary(PLAN) == whole
