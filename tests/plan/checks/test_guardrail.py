from __future__ import annotations

from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import guardrail
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build


def guarded(shares: dict[str, int], said: dict[str, Any], engine: str = "local") -> Plan:
    return build({LLAMA: {"shares": shares}}, {"bedrock": {"region": "us-east-1", **said}}, engine={"kind": engine})


def test_on_one_machine_a_guardrail_is_said_to_be_missing() -> None:
    plan = guarded({"bedrock": 60, "deepinfra": 40}, {"guardrail": {}})
    assert tuple(guardrail(plan)) == (
        Finding(
            "warning",
            f"guardrail/{LLAMA}/bedrock",
            f"the local engine asks bedrock for {LLAMA} without a guardrail: that of "
            "corral:hosts.bedrock.guardrail is made by the kubernetes engine alone",
            "have AWS enforce one for the account (PutEnforcedGuardrailConfiguration) and take that key out, "
            "or accept it",
        ),
    )


@pytest.mark.parametrize(
    "plan",
    [
        guarded({"bedrock": 100}, {}),
        guarded({"bedrock": 0, "deepinfra": 100}, {"guardrail": {}}),
        guarded({"bedrock": 100}, {"guardrail": {}}, "kubernetes"),
    ],
    ids=["none is wanted", "drained", "a cluster makes it"],
)
def test_nothing_is_said_where_none_is_missing(plan: Plan) -> None:
    assert tuple(guardrail(plan)) == ()
