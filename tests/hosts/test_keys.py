"""Whose key a stack must have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corral.hosts.keys import missing_keys, said_missing
from corral.plan.plan import Credential, Target
from tests.plan.world import AZURE, BEDROCK, DEEPINFRA, LAB, LLAMA, VLLM, build

PLAN = build({LLAMA: {"shares": {"bedrock": 100}}})

CASES = [
    pytest.param((BEDROCK, AZURE, VLLM), (), (), id="hosts_that_are_provisioned_bring_their_own"),
    pytest.param((LAB, DEEPINFRA), (), ("deepinfra", "lab"), id="hosts_that_are_there_already_do_not"),
    pytest.param((LAB, DEEPINFRA), ("lab",), ("deepinfra",), id="a_key_that_is_held"),
    pytest.param(
        (replace(LAB, credential=Credential(None, ambient=False, variable=None)),), (), (), id="no_key_wanted"
    ),
    pytest.param(
        (replace(AZURE, url="https://llm.services.ai.azure.com/openai/v1"), replace(VLLM, url="http://vllm:8000/v1")),
        ("bedrock",),
        ("azure", "vllm"),
        id="azure_and_vllm_at_a_url_are_there_already",
    ),
]


@pytest.mark.parametrize(("targets", "held", "want"), CASES)
def test_a_host_that_is_there_already_needs_a_key(
    targets: tuple[Target, ...], held: tuple[str, ...], want: tuple[str, ...]
):
    plan = replace(PLAN, models=(replace(PLAN.models[0], targets=targets),))
    assert missing_keys(plan, held) == want


def test_what_is_missing_is_said_with_the_way_out():
    assert said_missing("lab", "prod") == (
        "lab is called with a key, and corral:keys has none for it: "
        "`pulumi config set --secret --path 'corral:keys.lab' -s prod`"
    )
