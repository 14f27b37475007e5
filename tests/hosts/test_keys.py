"""Whose key a stack must have, and why a stack is not deployed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corral.hosts.keys import missing_key, missing_keys, refusal
from corral.plan.checks.findings import Finding
from corral.plan.plan import Credential, Target
from tests.plan.world import AZURE, BEDROCK, DEEPINFRA, LAB, LLAMA, VLLM, build

PLAN = build({LLAMA: {"shares": {"bedrock": 100}}})

WITH_FILE = replace(BEDROCK, credential=replace(BEDROCK.credential, file=True))

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
    pytest.param((WITH_FILE,), (), ("bedrock",), id="bedrock_where_the_gateway_has_no_identity"),
    pytest.param((WITH_FILE,), ("bedrock",), (), id="bedrock_with_credentials_in_a_file"),
]


@pytest.mark.parametrize(("targets", "held", "want"), CASES)
def test_a_host_that_is_there_already_needs_a_key(
    targets: tuple[Target, ...], held: tuple[str, ...], want: tuple[str, ...]
):
    plan = replace(PLAN, models=(replace(PLAN.models[0], targets=targets),))
    assert missing_keys(plan, held) == want


KUBERNETES = replace(build({LLAMA: {"shares": {"bedrock": 60, "lab": 40}}}), engine="kubernetes")


def test_what_is_missing_is_said_with_the_way_out():
    assert missing_key("lab", KUBERNETES) == (
        "lab is called with a key, and corral:keys has none for it: "
        "`pulumi config set --secret --path 'corral:keys.lab' -s prod`"
    )
    tokens = replace(AZURE, credential=Credential("authorization", ambient=False, variable=None, entra=True))
    on_azure = replace(KUBERNETES, models=(replace(PLAN.models[0], targets=(tokens,)),))
    assert missing_keys(on_azure, ()) == ("azure",)  # also where the stack makes the account
    assert missing_key("azure", on_azure) == (
        "azure is called with tokens of Entra, and corral:keys has no secret of its service principal: `pulumi config "
        "set --secret --path 'corral:keys.azure' -s prod`, a client secret of corral:hosts.azure.entra.client"
    )
    on_bedrock = replace(KUBERNETES, models=(replace(PLAN.models[0], targets=(WITH_FILE,)),))
    assert missing_key("bedrock", on_bedrock) == (
        "bedrock is called with credentials of AWS, the cluster of corral:cluster.kubeconfig gives the gateway none, "
        "and corral:keys has none for it: `pulumi config set --secret --path 'corral:keys.bedrock' -s prod < "
        "credentials`, a file as ~/.aws/credentials, with the keys of an IAM user who may call it and nothing else as "
        "[default]"
    )


ERROR = Finding("error", f"serves/{LLAMA}/lab", "lab does not serve it", "take it out")
WARNING = Finding("warning", f"verified/{LLAMA}/lab", "it is not verified", "ask the host")
ACCEPTED = replace(WARNING, name=f"parity/{LLAMA}/lab", accepted=True)


def test_a_plan_without_errors_whose_keys_are_there_is_deployed():
    assert refusal(KUBERNETES, (WARNING, ACCEPTED), {"lab"}) is None


def test_every_reason_is_said_at_once_and_what_else_was_found_after_them():
    assert refusal(KUBERNETES, (ERROR, WARNING, ACCEPTED), ()) == "\n".join(
        [
            f"serves/{LLAMA}/lab: lab does not serve it; take it out",
            missing_key("lab", KUBERNETES),
            f"warning verified/{LLAMA}/lab: it is not verified; ask the host",
        ]
    )


def test_a_stack_for_one_machine_is_sent_to_its_own_command():
    assert refusal(replace(KUBERNETES, engine="local"), (ERROR,), ()) == (
        "stack prod runs on one machine, where there is nothing to provision: corral serve --stack prod"
    )
