"""Every name that a stack gives to something at AWS, at Azure or in Kubernetes is one that the service takes, whatever
its models, hosts, tenants and itself are called.

AWS's rules are those of botocore's service models.  Azure's are in its own list of naming rules
(learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules), Kubernetes' in its documentation of
names and labels.  Where a program gives no name, Pulumi makes one: the logical name, and random hexadecimal digits, 7
for pulumi-aws and 8 for pulumi-azure-native.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import botocore.session
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corral.catalog.load import load_catalog
from corral.catalog.patterns import HostName, ModelName, TenantName
from corral.testing.recording import Recorded, World
from corral.testing.stacks import read_version, run_program
from corral.testing.world import manifests

AWS = {
    "aws:bedrock/guardrail:Guardrail": ("bedrock", "CreateGuardrail", "name"),
    "aws:bedrock/inferenceProfile:InferenceProfile": ("bedrock", "CreateInferenceProfile", "inferenceProfileName"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "CreateLogGroup", "logGroupName"),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2", "CreateSecurityGroup", "GroupName"),
    "aws:eks/cluster:Cluster": ("eks", "CreateCluster", "name"),
    "aws:iam/role:Role": ("iam", "CreateRole", "RoleName"),
    "aws:iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicy", "PolicyName"),
}
"""By type of a resource the parameter that its name becomes."""

WITHOUT_A_RULE = {"GroupName": r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"}
"""What botocore does not say: EC2's API reference of CreateSecurityGroup."""

AZURE = {
    "azure-native:cognitiveservices:Account": ("accountName", r"[a-zA-Z0-9][a-zA-Z0-9-]{0,62}[a-zA-Z0-9]"),
    "azure-native:cognitiveservices:Deployment": ("deploymentName", r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9]"),
    "azure-native:network:PrivateDnsZoneGroup": ("privateDnsZoneGroupName", r"[a-zA-Z0-9][\w.-]{0,78}\w"),
    "azure-native:network:PrivateEndpoint": ("privateEndpointName", r"[a-zA-Z0-9][\w.-]{0,62}\w"),
    "azure-native:resources:ResourceGroup": ("resourceGroupName", r"[\w.()-]{0,89}[\w()-]"),
}

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SUBDOMAIN = rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*"
VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
LABELS = ("Namespace", "Service")
"""Kinds whose names are DNS labels."""

BOTOCORE = botocore.session.get_session()


def wrong(world: World) -> Iterator[str]:
    """The names that their services would refuse."""
    for resource in world.resources:
        if resource.custom and resource.type.startswith("aws:"):
            yield from refused_by_aws(resource)
        elif resource.custom and resource.type.startswith("azure-native:"):
            yield from refused_by_azure(resource)
    for resource, manifest in manifests(world):
        yield from refused_by_kubernetes(resource, manifest)


def refused_by_aws(resource: Recorded) -> Iterator[str]:
    if resource.type not in AWS:
        return
    service, operation, member = AWS[resource.type]
    shape: Any = BOTOCORE.get_service_model(service).operation_model(operation).input_shape
    rule = shape.members[member].metadata
    name = resource.inputs.get("name") or f"{resource.name}-0123abc"
    pattern = rule.get("pattern") or WITHOUT_A_RULE[member]
    if not (re.fullmatch(pattern, name) and rule.get("min", 1) <= len(name) <= rule.get("max", 255)):
        yield f"{resource.type}: {name}"


def refused_by_azure(resource: Recorded) -> Iterator[str]:
    key, rule = AZURE[resource.type]
    name = resource.inputs.get(key) or f"{resource.name}0123abcd"
    if not re.fullmatch(rule, name):
        yield f"{resource.type}: {name}"


def refused_by_kubernetes(resource: Recorded, manifest: dict[str, Any]) -> Iterator[str]:
    metadata = manifest["metadata"]
    if not re.fullmatch(LABEL if manifest["kind"] in LABELS else SUBDOMAIN, metadata["name"]):
        yield f"{resource.type}: {metadata['name']}"
    if not re.fullmatch(LABEL, metadata.get("namespace", "default")):
        yield f"{resource.type}: in {metadata['namespace']}"
    for key, value in labels(manifest):
        if not re.fullmatch(VALUE, value):
            yield f"{resource.type}: {key} {value}"


def labels(part: Any) -> Iterator[tuple[str, str]]:
    """Labels and selectors, wherever they stand."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("labels", "matchLabels", "nodeSelector") and isinstance(value, dict):
                yield from value.items()
            else:
                yield from labels(value)
    elif isinstance(part, list):
        for each in part:
            yield from labels(each)


def names(of: Any) -> st.SearchStrategy[str]:
    """Names that a stack file takes."""
    pattern: str = of.__metadata__[0].pattern
    return st.from_regex(re.compile(pattern.replace("$", r"\Z"), re.ASCII), fullmatch=True)


def program(folder: Any, stack: str, hosts: tuple[str, str, str], models: Sequence[str], tenant: str) -> World:
    """All that can have a name, of models at three hosts."""
    bedrock, azure, vllm = hosts
    config = {
        "aws:region": "us-east-1",
        "corral:engine": {"kind": "kubernetes"},
        "corral:cluster": {
            "publicFrom": ["anywhere"],
            "prometheus": {"url": "http://prometheus.monitoring:9090"},
            "addons": {"keda": "present", "prometheusOperator": "present"},
        },
        "corral:hosts": {
            bedrock: {
                "kind": "bedrock",
                "models": {
                    model: {"id": "us.meta.llama3-3-70b-instruct-v1:0", "reaches": ["us-east-1", "us-west-2"]}
                    for model in models
                },
                "costTags": {"team": "search"},
                "guardrail": {"strength": "HIGH"},
                "invocationLogs": {"retentionDays": 30},
                "vpcEndpoint": True,
            },
            azure: {
                "kind": "azure",
                "location": "eastus2",
                "capacity": dict.fromkeys(models, 200),
                "models": dict.fromkeys(models, "Llama-3.3-70B-Instruct"),
                "privateEndpoint": {
                    "subnet": "/subscriptions/0/subnets/endpoints",
                    "dnsZones": ["/subscriptions/0/privatelink.services.ai.azure.com"],
                },
            },
            vllm: {
                "kind": "vllm",
                "gpus": {"instance": "p6-b300.48xlarge", "min": 1, "max": 20, "parallel": 8},
                "modelWeights": dict.fromkeys(models, "s3://weights/llama"),
                "models": {model: {"id": "llama", "context": 8192} for model in models},
            },
        },
        "corral:models": {model: {"shares": {bedrock: 50, azure: 30, vllm: 20}} for model in models},
        "corral:tenants": {tenant: {"requestsPerMinute": 60}},
    }
    file = folder / f"Pulumi.{stack}.yaml"
    # JSON is YAML that has every name in quotes, also one that looks like a number
    file.write_text(json.dumps({"config": config}))
    return run_program(read_version(file))


HOSTS = ("bedrock", "azure", "vllm")


def test_every_model_of_the_catalog_has_names_that_services_take(tmp_path: Any):
    assert [*wrong(program(tmp_path, "prod", HOSTS, sorted(load_catalog().models), "default"))] == []


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.from_regex(r"[A-Za-z0-9_.-]{1,100}", fullmatch=True),
    st.lists(names(HostName), min_size=3, max_size=3, unique=True),
    names(ModelName),
    names(TenantName),
)
@example("prod", ["a" * 40, "b" * 40, "c" * 40], "m" * 128, "t" * 63)
@example("Prod.EU_1", ["0", "1", "2"], "meta-llama/Llama-3.3-70B:free", "0")
@example("s" * 100, [*HOSTS], "a__b--c..d", "a--b")
def test_odd_names_become_names_that_services_take(
    tmp_path: Any, stack: str, hosts: list[str], model: str, tenant: str
):
    one, two, three = hosts
    assert [*wrong(program(tmp_path, stack, (one, two, three), [model], tenant))] == []


def test_every_type_with_a_name_has_a_rule(tmp_path: Any):
    """A new type of resource needs one in the tables above."""
    seen = program(tmp_path, "prod", HOSTS, ["llama-3.3-70b"], "default")
    of_aws = {each.type for each in seen.resources if each.custom and each.type.startswith("aws:")}
    of_azure = {each.type for each in seen.resources if each.custom and each.type.startswith("azure-native:")}
    assert of_aws - {*AWS} == {
        "aws:bedrock/guardrailVersion:GuardrailVersion",
        "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/eip:Eip",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:eks/addon:Addon",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/key:Key",
    }
    assert of_azure == {*AZURE}
