from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.checks.findings import Finding
from corral.plan.checks.residency import residency
from corral.plan.checks.run import check
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, HOSTS, LLAMA, SCOUT, TODAY, build, price_of


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: tuple[Finding, ...]
    model: str = LLAMA


def refused(host: str, where: str, way_out: str, *, model: str = LLAMA, allowed: str = "us") -> tuple[Finding, ...]:
    message = f"{where}; the residency of {model} is {allowed}"
    return (Finding("error", f"residency/{model}/{host}", message, way_out),)


SHARES = f"take it out of corral:models.{LLAMA}.shares"
FALLBACK = f"take it out of corral:models.{LLAMA}.fallback"

AZURE = "azure may process a request in any region of Azure, which sells Llama on global SKUs only"

CASES = [
    Case("nothing is asked for", {"shares": {"azure": 50, "deepinfra": 50}}, ()),
    Case("everything that can be reached is allowed", {"shares": {"bedrock": 50, "vllm": 50}, "residency": ["us"]}, ()),
    Case(
        "so it is region by region",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1", "us-east-2", "us-west-2"]},
        (),
    ),
    Case(
        "a place that a host states is in itself",
        {"shares": {"groq": 100}, "residency": ["us"]},
        (),
    ),
    Case(
        "and is not in single regions of it",
        {"shares": {"groq": 100}, "residency": ["us-east-1", "us-east-2", "us-west-1", "us-west-2"]},
        refused(
            "groq",
            "groq may process a request in us",
            f"{SHARES}, or allow us in the residency",
            allowed="us-east-1, us-east-2, us-west-1 and us-west-2",
        ),
    ),
    Case(
        "a profile may process in regions that are not the called one",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1"]},
        refused(
            "bedrock",
            "bedrock may process a request in us-east-2 and us-west-2",
            f"{SHARES}, or allow us-east-2 and us-west-2 in the residency",
            allowed="us-east-1",
        ),
    ),
    Case(
        "a fallback can be reached",
        {"shares": {"bedrock": 100}, "fallback": ["lab"], "residency": ["us"]},
        refused("lab", "lab may process a request in eu-west-1", f"{FALLBACK}, or allow eu-west-1 in the residency"),
    ),
    Case(
        "a drained host that is a fallback can be reached",
        {"shares": {"bedrock": 100, "lab": 0}, "fallback": ["lab"], "residency": ["us"]},
        refused("lab", "lab may process a request in eu-west-1", f"{FALLBACK}, or allow eu-west-1 in the residency"),
    ),
    Case(
        "a drained host cannot",
        {"shares": {"bedrock": 100, "lab": 0}, "residency": ["us"]},
        (),
    ),
    Case(
        "an unknown region is a refusal",
        {"shares": {"deepinfra": 100}, "residency": ["us"]},
        refused(
            "deepinfra",
            "it is not known where deepinfra processes a request",
            f"{SHARES}, or state the regions if you know them: corral:hosts.deepinfra.models.{LLAMA}.reaches",
        ),
    ),
    Case(
        "Azure's global SKU is a refusal wherever a region is required",
        {"shares": {"bedrock": 90, "azure": 10}, "residency": ["us", "eu"]},
        refused("azure", AZURE, SHARES, allowed="eu and us"),
    ),
    Case(
        "each model has its own profile",
        {"shares": {"bedrock": 100}, "residency": ["us-east-1", "us-east-2", "us-west-2"]},
        refused(
            "bedrock",
            "bedrock may process a request in us-west-1",
            f"take it out of corral:models.{SCOUT}.shares, or allow us-west-1 in the residency",
            model=SCOUT,
            allowed="us-east-1, us-east-2 and us-west-2",
        ),
        SCOUT,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_request_reaches_a_region_that_is_not_allowed(case: Case) -> None:
    assert tuple(residency(build({case.model: case.given}))) == case.want


@pytest.mark.parametrize(
    ("host", "said", "where", "way_out"),
    [
        ("azure", {"models": {LLAMA: "mine"}}, AZURE, SHARES),
        ("lab", {**HOSTS["lab"], "regions": ["global"]}, "lab may process a request anywhere", SHARES),
        (
            "lab",
            {**HOSTS["lab"], "regions": ["us-east-1", "zurich"]},
            "lab may process a request in zurich",
            f"{SHARES}, or allow zurich in the residency",
        ),
    ],
)
def test_what_a_host_of_the_stack_says_of_itself_is_held_against_it(
    host: str, said: dict[str, Any], where: str, way_out: str
) -> None:
    plan = build({LLAMA: {"shares": {host: 100}, "residency": ["us"]}}, {host: said})
    assert tuple(residency(plan)) == refused(host, where, way_out)


def test_a_deployment_of_azure_whose_regions_the_stack_states_is_taken_at_its_word() -> None:
    hosts = {"azure": {"models": {LLAMA: {"id": "mine", "reaches": ["us-east-1"]}}}}
    assert tuple(residency(build({LLAMA: {"shares": {"azure": 100}, "residency": ["us"]}}, hosts))) == ()


@given(stacks())
def test_every_region_that_can_be_reached_without_an_error_is_allowed(said: dict[str, Any]) -> None:
    plan = planning.build(Stack.model_validate(said), CATALOG, price_of)
    refused = {finding.name for finding in check(plan, TODAY) if finding.level == "error"}
    for model in plan.models:
        for target in model.targets:
            name = f"residency/{model.name}/{target.host}"
            if target.live and model.allowed_regions is not None and name not in refused:
                assert target.reaches
                assert set(target.reaches) <= model.allowed_regions
