from __future__ import annotations

from typing import Any

from hypothesis import given

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.checks.findings import Finding
from corral.plan.checks.run import check
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, HOSTS, LLAMA, PRICES, SCOUT, TODAY, build

UNVERIFIED = Finding(
    "warning",
    f"verified/{LLAMA}/deepinfra",
    f"that deepinfra serves {LLAMA} as Llama-3.3-Turbo is not verified: "
    "the catalog has it from the host's page (2026-08-20)",
    "ask the host with `DEEPINFRA_API_KEY=… corral verify --stack prod`, then accept it",
    accepted=True,
)


def alone(model: str) -> Finding:
    return Finding(
        "note",
        f"fallback/{model}",
        f"when bedrock fails, nobody answers for {model}: there is no fallback",
        f"name one, corral:models.{model}.fallback, or accept it",
    )


DRAINED = Finding(
    "note",
    f"drained/{LLAMA}/azure",
    f"azure is drained for {LLAMA}: no request reaches it, not even when other hosts fail",
    f"give it a share, or take it out of corral:models.{LLAMA}.shares",
    accepted=True,
)


def test_an_ordinary_stack_has_no_findings_but_that_nobody_stands_in_for_its_only_host() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}})
    assert check(plan, TODAY) == (alone(LLAMA), alone(SCOUT))


def test_all_findings_come_at_once_errors_first() -> None:
    plan = build(
        {
            LLAMA: {
                "shares": {"bedrock": 60, "azure": 0, "meta": 40},
                "fallback": ["lab", "deepinfra"],
                "residency": ["us"],
            }
        },
        {"lab": {**HOSTS["lab"], "models": {LLAMA: {"id": "Llama-Lab", "lifecycle": {"retired": "2026-11-20"}}}}},
    )
    assert [(finding.level, finding.name) for finding in check(plan, TODAY)] == [
        ("error", f"lifecycle/{LLAMA}/lab"),
        ("error", f"placeholder/{LLAMA}/meta"),
        ("error", f"residency/{LLAMA}/deepinfra"),
        ("error", f"residency/{LLAMA}/lab"),
        ("warning", f"verified/{LLAMA}/deepinfra"),
        ("note", f"drained/{LLAMA}/azure"),
        ("note", f"parity/{LLAMA}"),
    ]


def test_warnings_and_notes_are_accepted_by_name() -> None:
    plan = build(
        {LLAMA: {"shares": {"bedrock": 100, "azure": 0}, "fallback": ["deepinfra"]}},
        {"bedrock": {"takes": {"vision": True}}},
        accept=[f"verified/{LLAMA}/deepinfra", f"drained/{LLAMA}/azure"],
    )
    assert check(plan, TODAY) == (UNVERIFIED, DRAINED)


def test_an_error_cannot_be_accepted() -> None:
    name = f"serves/{SCOUT}/azure"
    plan = build({SCOUT: {"shares": {"bedrock": 100, "azure": 0}}}, accept=[name])
    assert check(plan, TODAY) == (
        Finding(
            "error",
            name,
            f"azure does not serve {SCOUT}: the catalog has no such model there",
            f"fill in corral:hosts.azure.models.{SCOUT}, or name bedrock instead",
        ),
        Finding(
            "note",
            f"accept/{name}",
            f"corral:accept names {name}, which is an error and cannot be accepted",
            "take it out, and mend what the error says",
        ),
        alone(SCOUT),
    )


def test_an_accepted_name_that_matches_nothing_is_noted_with_the_nearest_one() -> None:
    plan = build(
        {LLAMA: {"shares": {"bedrock": 100}, "fallback": ["deepinfra"]}},
        accept=[f"verifed/{LLAMA}/deepinfra", "a\nb"],
    )
    assert check(plan, TODAY)[1:3] == (
        Finding("note", r'accept/"a\nb"', r'corral:accept names "a\nb", and there is no such finding', "take it out"),
        Finding(
            "note",
            f"accept/verifed/{LLAMA}/deepinfra",
            f"corral:accept names verifed/{LLAMA}/deepinfra, and there is no such finding",
            f"did you mean verified/{LLAMA}/deepinfra?",
        ),
    )


@given(stacks())
def test_there_is_one_finding_of_a_name_and_none_without_a_way_out(said: dict[str, Any]) -> None:
    found = check(planning.build(Stack.model_validate(said), CATALOG, PRICES), TODAY)
    names = [finding.name for finding in found]
    assert len(names) == len(set(names))
    assert all(finding.message and finding.way_out for finding in found)


@given(stacks())
def test_accepting_everything_hides_nothing_and_accepts_no_error(said: dict[str, Any]) -> None:
    without = check(planning.build(Stack.model_validate({**said, "accept": []}), CATALOG, PRICES), TODAY)
    names = [finding.name for finding in without]
    everything = check(planning.build(Stack.model_validate({**said, "accept": names}), CATALOG, PRICES), TODAY)
    assert {(finding.name, finding.level) for finding in everything} >= {(each.name, each.level) for each in without}
    assert {each.name for each in everything if each.accepted} == {
        each.name for each in without if each.level != "error"
    }
