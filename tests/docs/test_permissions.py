"""The permissions in the documents are those that the program's resources take: no more, and no fewer.

What the program makes is recorded; the actions by type of resource are in `aws_actions.yaml`, with their source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from corral.cluster.roles import CONTROL_PLANE, NODES
from corral.hosts.aws import Account
from corral.hosts.vllm.weights import of_s3
from corral.testing.mock_outputs import INVOKE_RESULTS
from corral.testing.recording import Recorded, World
from corral.testing.stacks import read_version, run_program
from tests.cluster import test_preflight as preflight_of_cluster
from tests.gateway import test_preflight as preflight_of_gateway
from tests.gateway.deployed import EXAMPLES
from tests.hosts.account import FakeAccount
from tests.hosts.bedrock import aws

ROOT = Path(__file__).parents[2]
TABLE: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "aws_actions.yaml").read_text())
FUNCTIONS = [token for token in INVOKE_RESULTS if token.startswith("aws:")]

MANAGED = {
    *("autoscaling:DescribeAutoScalingGroups", "autoscaling:UpdateAutoScalingGroup"),
    *("ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances", "ec2:CreateTags", "ec2:CreateVolume"),
    *("ec2:CreateNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:AuthorizeSecurityGroupIngress"),
    *("elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:RegisterTargets", "kms:DescribeKey"),
    *("elasticloadbalancing:SetWebAcl", "wafv2:AssociateWebACL", "shield:CreateProtection", "shield:TagResource"),
    *("acm:DescribeCertificate", "acm:ListCertificates", "cognito-idp:DescribeUserPoolClient"),
    *("iam:AddRoleToInstanceProfile", "iam:CreateServiceLinkedRole", "iam:PassRole"),
    *("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer"),
    "eks-auth:AssumeRoleForPodIdentity",
}
"""Of the actions in AWS's own policies for the cluster and its nodes those of each kind (zoph-io/MAMIP)."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return everything_on_aws(tmp_path_factory.mktemp("permissions"))


def everything_on_aws(folder: Path) -> World:
    """All that a stack can have there."""
    config = yaml.safe_load((EXAMPLES / "Pulumi.prod.yaml").read_text())["config"]
    config["corral:hosts"]["bedrock"] = {
        "costTags": {"team": "search"},
        "guardrail": {"strength": "HIGH"},
        "invocationLogs": {"retentionDays": 30},
        "vpcEndpoint": True,
    }
    config["corral:hosts"]["vllm"]["modelWeights"] = {"llama-3.3-70b": "s3://weights/llama"}
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
    config["corral:gateway"] |= {"hostname": "llm.example.com", "certificate": {"hostedZone": "Z0123456789ABCDEFGHIJ"}}
    config["corral:cluster"]["addons"] = {"externalSecrets": "install"}
    config["corral:secretStore"] = {"name": "aws", "keys": {"deepinfra": "corral/deepinfra"}}
    config["corral:cluster"]["network"]["flowLogs"] = "arn:aws:s3:::team-logs"
    config["corral:registry"] = {"pullThrough": {"dockerHub": secret}}
    file = folder / "Pulumi.prod.yaml"
    file.write_text(yaml.safe_dump({"config": config}))
    return run_program(read_version(file))


def statements(document: str, *sids: str) -> list[dict[str, Any]]:
    """Of the policies in a document, those with one of these statements, all statements of the last."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    policies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    (found,) = [each["Statement"] for each in policies if {*sids} <= {one["Sid"] for one in each.get("Statement", ())}]
    return found


def listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else [*value]


def actions(policy: Sequence[Mapping[str, Any]]) -> set[str]:
    return {action for statement in policy for action in listed(statement["Action"])}


def taken(types: Iterator[str]) -> set[str]:
    entries = [TABLE[type_] for type_ in types]
    return {action for each in entries for key in ("read", "write", "besides") for action in each.get(key, ())}


def on_aws(world: World) -> Iterator[Recorded]:
    return (each for each in world.resources if each.custom and each.type in TABLE)


def of_bedrock(resource: Recorded) -> bool:
    return "corral:hosts:Bedrock$" in resource.urn


def test_every_type_that_the_program_makes_has_its_actions(world: World):
    types = {each.type for each in world.resources if each.custom and each.type.startswith("aws:")}
    assert types | {*FUNCTIONS, "pulumi-python:dynamic/bedrock:ModelAccess"} == {*TABLE}


def test_the_policy_for_a_cluster_has_what_its_resources_take(world: World):
    types = (each.type for each in on_aws(world) if not of_bedrock(each))
    assert actions(statements("permissions.md", "Cluster", "Roles")) == taken(iter([*types, *FUNCTIONS]))


def test_the_policy_for_bedrock_has_what_its_resources_take(world: World):
    types = [each.type for each in on_aws(world) if of_bedrock(each)]
    caller = "aws:index/getCallerIdentity:getCallerIdentity"
    # No instance has this role: there is no profile to take it out of.
    without = {"iam:RemoveRoleFromInstanceProfile"}
    assert actions(statements("hosts/bedrock.md", "Guardrail")) == taken(iter([*types, caller])) - without


def test_roles_get_the_policies_of_aws_that_the_program_attaches_and_no_others():
    (attaching,) = [each for each in statements("permissions.md", "Roles") if each["Sid"] == "ManagedPolicies"]
    assert attaching["Condition"]["ArnEquals"]["iam:PolicyARN"] == sorted(
        f"arn:aws:iam::aws:policy/{policy}" for policy in (*CONTROL_PLANE, *NODES)
    )


def test_roles_are_passed_to_the_services_that_take_them_on_and_to_no_others(world: World):
    def trusted(*, bedrock: bool) -> list[str]:
        roles = [each for each in world.of_type("aws:iam/role:Role") if of_bedrock(each) is bedrock]
        policies = [json.loads(each.inputs["assumeRolePolicy"]) for each in roles]
        return sorted({each["Principal"]["Service"] for policy in policies for each in policy["Statement"]})

    def passed(document: str, sid: str) -> list[str]:
        (passing,) = [each for each in statements(document, sid) if each["Sid"] == sid]
        return listed(passing["Condition"]["StringEquals"]["iam:PassedToService"])

    assert passed("permissions.md", "PassRoles") == trusted(bedrock=False)
    assert passed("hosts/bedrock.md", "PassInvocationLogWriter") == trusted(bedrock=True)


@pytest.mark.parametrize(("document", "sid"), [("permissions.md", "Roles"), ("hosts/bedrock.md", "Guardrail")])
def test_a_role_gets_policies_within_the_boundary_alone(document: str, sid: str):
    granting = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}
    boundary = "arn:aws:iam::ACCOUNT:policy/corral-boundary"
    open_ = [
        each
        for each in statements(document, sid)
        if granting & {*listed(each["Action"])}
        and each.get("Condition", {}).get("StringEquals", {}).get("iam:PermissionsBoundary") != boundary
    ]
    assert open_ == []


def test_the_boundary_lets_roles_do_what_they_are_for_and_take_no_more_rights(world: World):
    allowed = actions(statements("permissions.md", "PassNodeRoles"))
    written = [json.loads(each.inputs["policy"]) for each in world.of_type("aws:iam/rolePolicy:RolePolicy")]
    wanted = MANAGED | {action for policy in written for action in actions(policy["Statement"])}
    assert sorted(each for each in wanted if not any(fnmatchcase(each, pattern) for pattern in allowed)) == []
    refused = ("iam:CreateRole", "iam:PutRolePolicy", "iam:CreateUser", "iam:AttachUserPolicy", "sts:AssumeRole")
    assert [each for each in refused if any(fnmatchcase(each, pattern) for pattern in allowed)] == []


AZURE = {
    "azure-native:resources:ResourceGroup": "Microsoft.Resources/subscriptions/resourceGroups",
    "azure-native:cognitiveservices:Account": "Microsoft.CognitiveServices/accounts",
    "azure-native:cognitiveservices:Deployment": "Microsoft.CognitiveServices/accounts/deployments",
}
"""By type of resource the type that Azure's actions name."""

NOT_OF_A_RESOURCE = {
    "Microsoft.CognitiveServices/accounts/listKeys/action": "the function that reads the account's key",
    "Microsoft.CognitiveServices/locations/operationResults/read": "the wait for an account, not verified",
}


def test_the_role_for_azure_has_what_its_resources_take(world: World):
    types = {each.type for each in world.resources if each.custom and each.type.startswith("azure-native:")}
    assert types == {*AZURE}
    text = (ROOT / "docs/hosts/azure.md").read_text(encoding="utf-8")
    (role,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    acting = {f"{AZURE[each]}/{verb}" for each in types for verb in ("read", "write", "delete")}
    assert {*role["Actions"]} == acting | {*NOT_OF_A_RESOURCE}


def test_a_preview_takes_what_only_reads():
    verbs = ("Describe", "Get", "List")
    reading = {action for entry in TABLE.values() for action in entry["read"]}
    assert [each for each in sorted(reading) if not each.partition(":")[2].startswith(verbs)] == []


def test_the_policy_for_a_preflight_is_what_it_takes_and_only_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    preflight_of_gateway.checked(
        tmp_path,
        answers={
            "describe_certificate": preflight_of_gateway.certificate(),
            "get_foundation_model_availability": aws.availability("NOT_AVAILABLE"),
            "list_foundation_model_agreement_offers": aws.offers(),
        },
        gateway=f'    certificate: {{acm: "{preflight_of_gateway.ARN}"}}\n',
    )
    taken_actions = {*FakeAccount.current.actions}
    zone = "    hostname: llm.example.com\n    certificate: {hostedZone: Z0123456789ABCDEFGHIJ}\n"
    preflight_of_gateway.checked(tmp_path, answers={"get_hosted_zone": preflight_of_gateway.zone()}, gateway=zone)
    taken_actions |= {*FakeAccount.current.actions}
    spot = preflight_of_cluster.stack(instance="p5.48xlarge", capacityType="spot")
    reserved = preflight_of_cluster.stack(preflight_of_cluster.GIVEN, **preflight_of_cluster.RESERVED)
    for stack in (spot, reserved, preflight_of_cluster.with_a_store()):
        preflight_of_cluster.judged(
            monkeypatch,
            stack,
            describe_capacity_reservations=preflight_of_cluster.reservation(),
            describe_subnets=preflight_of_cluster.subnets("a", "b"),
            describe_log_groups={"logGroups": [preflight_of_cluster.log_group(preflight_of_cluster.LOGS)]},
            list_tags_for_resource={"tags": {}},
            describe_secret={"Name": "corral/hf"},
        )
        taken_actions |= {*FakeAccount.current.actions}
    FakeAccount({"list_objects_v2": {"IsTruncated": False}}).installed(monkeypatch)
    of_s3("s3://weights/llama", Account("us-east-1"))
    taken_actions |= {*FakeAccount.current.actions}
    assert actions(statements("permissions.md", "Preflight")) == taken_actions
    verbs = ("Describe", "Get", "List")
    assert [each for each in sorted(taken_actions) if not each.partition(":")[2].startswith(verbs)] == []
