"""Why a stack is not deployed."""

from __future__ import annotations

from dataclasses import replace

from corral.hosts.keys import refusal, said_missing
from corral.plan.checks.findings import Finding
from tests.plan.world import LLAMA, build

PLAN = replace(build({LLAMA: {"shares": {"bedrock": 60, "lab": 40}}}), engine="kubernetes")
ERROR = Finding("error", f"serves/{LLAMA}/lab", "lab does not serve it", "take it out")
WARNING = Finding("warning", f"verified/{LLAMA}/lab", "it is not verified", "ask the host")
ACCEPTED = replace(WARNING, name=f"parity/{LLAMA}/lab", accepted=True)


def test_a_plan_without_errors_whose_keys_are_there_is_deployed():
    assert refusal(PLAN, (WARNING, ACCEPTED), {"lab"}) is None


def test_every_reason_is_said_at_once_and_what_else_was_found_after_them():
    assert refusal(PLAN, (ERROR, WARNING, ACCEPTED), ()) == "\n".join(
        [
            f"error serves/{LLAMA}/lab: lab does not serve it; take it out",
            said_missing("lab", "prod"),
            f"warning verified/{LLAMA}/lab: it is not verified; ask the host",
        ]
    )


def test_a_stack_for_one_machine_is_sent_to_its_own_command():
    assert refusal(replace(PLAN, engine="local"), (ERROR,), ()) == (
        "stack prod runs on one machine, where there is nothing to provision: corral serve --stack prod"
    )
