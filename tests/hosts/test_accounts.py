"""The accounts that a stack may be made in, and what bounds its roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from corral import testing
from corral.catalog.load import load_catalog
from corral.config.stack import Stack
from corral.hosts.registry import hold_to_accounts
from corral.plan.build import build
from corral.testing.mock_outputs import ACCOUNT, SUBSCRIPTION
from corral.testing.stacks import read_version, run_program
from tests.gateway.deployed import EXAMPLES

BEDROCK: dict[str, Any] = {"bedrock": {"kind": "bedrock", "region": "us-east-1"}}
AZURE: dict[str, Any] = {"azure": {"kind": "azure", "location": "eastus2", "capacity": {"llama-3.3-70b": 1}}}
KIND: dict[str, Any] = {"kubeconfig": "~/.kube/config"}
OTHER, ELSEWHERE = "210987654321", "fedcba98-7654-3210-fedc-ba9876543210"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/corral-boundary"


def held(
    accounts: dict[str, Any], hosts: dict[str, Any], cluster: dict[str, Any], config: Mapping[str, Any] | None = None
) -> None:
    (host,) = hosts
    stack = Stack.model_validate(
        {
            "name": "test",
            "engine": {"kind": "kubernetes"},
            "hosts": hosts,
            "cluster": cluster,
            "models": {"llama-3.3-70b": {"shares": {host: 100}}},
            "accounts": accounts,
        }
    )
    testing.run(lambda: hold_to_accounts(stack, build(stack, load_catalog())), config=config)


@pytest.mark.parametrize(
    ("accounts", "hosts", "cluster"),
    [
        ({}, BEDROCK, {}),
        ({"aws": ACCOUNT, "azure": SUBSCRIPTION}, BEDROCK, {}),
        ({"aws": ACCOUNT, "azure": SUBSCRIPTION}, AZURE, KIND),
        ({"aws": OTHER, "azure": SUBSCRIPTION}, AZURE, KIND),
        ({"aws": ACCOUNT, "azure": ELSEWHERE}, BEDROCK, KIND),
    ],
    ids=["any", "AWS", "Azure", "nothing of the stack is on AWS", "nothing of the stack is on Azure"],
)
def test_the_stacks_own_accounts_are_taken(accounts: dict[str, Any], hosts: dict[str, Any], cluster: dict[str, Any]):
    held(accounts, hosts, cluster)


WRONG_ACCOUNT = (
    f"the credentials for AWS are those of the account {ACCOUNT}, and the stack is for {OTHER} (corral:accounts.aws): "
    "take the right ones (`aws sts get-caller-identity` shows which they are). Nothing was made"
)
WRONG_SUBSCRIPTION = (
    f"the credentials for Azure are those of the subscription {SUBSCRIPTION}, and the stack is for {ELSEWHERE} "
    "(corral:accounts.azure): take the right ones (`az account show`, or ARM_SUBSCRIPTION_ID, shows which they are). "
    "Nothing was made"
)


@pytest.mark.parametrize(
    ("accounts", "cluster", "want"),
    [({"aws": OTHER}, {}, WRONG_ACCOUNT), ({"azure": ELSEWHERE}, KIND, WRONG_SUBSCRIPTION)],
    ids=["AWS", "Azure"],
)
def test_with_the_credentials_of_another_account_nothing_is_made(
    accounts: dict[str, Any], cluster: dict[str, Any], want: str
):
    with pytest.raises(pulumi.RunError) as refused:
        held(accounts, AZURE, cluster)
    assert str(refused.value) == want


def test_every_role_of_a_stack_is_bounded_where_it_names_a_boundary(tmp_path: Any):
    example = (EXAMPLES / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text(
        example.replace("bedrock:\n", "bedrock:\n      invocationLogs: {}\n", 1)
        + f"  corral:accounts: {{permissionsBoundary: '{BOUNDARY}'}}\n"
    )
    roles = run_program(read_version(file)).of_type("aws:iam/role:Role")
    assert {role.name: role.inputs["permissionsBoundary"] for role in roles} == dict.fromkeys(
        (
            "bedrock-invocations-writer",
            "cluster-control-role",
            "cluster-node-role",
            "gateway-identity-role",
            "vllm-nodes-node-role",
        ),
        BOUNDARY,
    )
