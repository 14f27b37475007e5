from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import retired
from tests.plan.checks.test_hosts import found_by
from tests.plan.world import HOSTS, LLAMA, SCOUT, TODAY, build

ALONE = {"shares": {"lab": 100}}
BESIDE = {"shares": {"lab": 50, "bedrock": 50}, "fallback": ["azure"]}


def retiring(days: int, model: dict[str, Any]) -> tuple[Finding, ...]:
    """What is said where `lab` serves the model for so many more days."""
    last = {"retired": TODAY + timedelta(days=days)}
    lab = {**HOSTS["lab"], "models": {LLAMA: {"id": "Llama-Lab", "lifecycle": last}}}
    return found_by(build({LLAMA: model}, {"lab": lab}), "lifecycle", "restricted")


NAME = f"lifecycle/{LLAMA}/lab"


@pytest.mark.parametrize(
    ("days", "want"),
    [
        (91, ()),
        (
            90,
            (
                Finding(
                    "warning",
                    NAME,
                    f"lab retires {LLAMA} in 90 days: its last day is 2027-02-19",
                    "give the traffic to bedrock or azure before it is over",
                ),
            ),
        ),
        (
            1,
            (
                Finding(
                    "warning",
                    NAME,
                    f"lab retires {LLAMA} tomorrow: its last day is 2026-11-22",
                    "give the traffic to bedrock or azure before it is over",
                ),
            ),
        ),
        (
            0,
            (
                Finding(
                    "warning",
                    NAME,
                    f"lab retires {LLAMA} today: its last day is 2026-11-21",
                    "give the traffic to bedrock or azure before it is over",
                ),
            ),
        ),
        (
            -1,
            (
                Finding(
                    "error",
                    NAME,
                    f"lab has retired {LLAMA}: its last day was 2026-11-20",
                    "give the traffic to bedrock or azure; or if it serves you still, say so: "
                    f"corral:hosts.lab.models.{LLAMA}.lifecycle: available",
                ),
            ),
        ),
    ],
)
def test_a_retirement_is_said_90_days_before_and_refused_after_the_last_day(
    days: int, want: tuple[Finding, ...]
) -> None:
    assert retiring(days, BESIDE) == want


@pytest.mark.parametrize(("days", "want"), [(1, False), (0, False), (-1, True)])
def test_a_model_is_retired_when_its_last_day_is_over(days: int, want: bool) -> None:
    last = {"id": "Llama-Lab", "lifecycle": {"retired": TODAY + timedelta(days=days)}}
    (target,) = build({LLAMA: ALONE}, {"lab": {**HOSTS["lab"], "models": {LLAMA: last}}}).models[0].targets
    assert retired(target, TODAY) is want


@pytest.mark.parametrize(
    ("hosts", "others"), [({}, "azure, bedrock, deepinfra or vllm"), ({LLAMA: "Llama-Lab"}, "another host")]
)
def test_where_the_stack_names_no_other_host_the_catalog_is_asked(hosts: dict[str, str], others: str) -> None:
    name = "mine" if hosts else LLAMA
    last = {"retired": date(2026, 12, 1)}
    lab = {**HOSTS["lab"], "models": {name: {"id": "Llama-Lab", "lifecycle": last}}}
    (finding,) = found_by(build({name: ALONE}, {"lab": lab}), "lifecycle")
    assert finding.way_out == f"give the traffic to {others} before it is over"


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: tuple[Finding, ...]


CASES = [
    Case("available", {LLAMA: {"shares": {"bedrock": 100}}}, ()),
    Case("retired at a drained host", {SCOUT: {"shares": {"bedrock": 100, "groq": 0}}}, ()),
    Case("restricted at a drained host", {LLAMA: {"shares": {"bedrock": 100, "groq": 0}}}, ()),
    Case(
        "restricted at a fallback",
        {LLAMA: {"shares": {"bedrock": 100}, "fallback": ["groq"]}},
        (
            Finding(
                "warning",
                f"restricted/{LLAMA}/groq",
                f"groq restricts {LLAMA}: to customers with committed spend",
                "accept it if you are served, or give the traffic to bedrock",
            ),
        ),
    ),
    Case(
        "retired at a fallback",
        {SCOUT: {"shares": {"bedrock": 100}, "fallback": ["groq"]}},
        (
            Finding(
                "error",
                f"lifecycle/{SCOUT}/groq",
                f"groq has retired {SCOUT}: its last day was 2026-07-17",
                "give the traffic to bedrock; or if it serves you still, say so: "
                f"corral:hosts.groq.models.{SCOUT}.lifecycle: available",
            ),
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_host_no_longer_or_not_always_serves(case: Case) -> None:
    assert found_by(build(case.given), "lifecycle", "restricted") == case.want
