import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from corral.config.hosts import Guardrail, InvocationLogs
from corral.hosts.base import Vpc
from corral.hosts.bedrock.access import BedrockModel
from corral.hosts.bedrock.component import Bedrock, BedrockArgs
from corral.hosts.bedrock.identity import invoke, log_trust, write_log
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.hosts.iam import document
from corral.testing import World, run
from tests.hosts.bedrock.aws import bedrock_model
from tests.hosts.site import TAGS, site, stack

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/encryptioncontrol:DeprecationWarning")
"""What the SDK says of a resource of its own when it is loaded."""

ACCOUNT = "123456789012"
LLAMA = bedrock_model()
MAVERICK = bedrock_model(
    "us.meta.llama4-maverick-17b-instruct-v1:0",
    ("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    name="llama-4-maverick",
    foundation="meta.llama4-maverick-17b-instruct-v1:0",
)
ARGS = BedrockArgs(
    host="bedrock",
    region="us-east-1",
    models=(LLAMA, MAVERICK),
    cost_tags={},
    guardrail=None,
    invocation_logs=None,
    vpc=None,
    credentials=None,
    tags=TAGS,
)
EVERYTHING = replace(
    ARGS,
    cost_tags={"team": "search"},
    guardrail=Guardrail(strength="HIGH", message="Blocked."),
    invocation_logs=InvocationLogs(retention_days=90, prompts=False),
    vpc=Vpc("vpc-1", "us-east-1", ["subnet-a", "subnet-b"], ["subnet-a", "subnet-b"], "sg-gateway"),
)
ACCESS = "pulumi-python:dynamic/bedrock:ModelAccess"


def provisioned(args: BedrockArgs) -> tuple[World, Mapping[str, Endpoint]]:
    made: list[Bedrock] = []

    def program() -> None:
        host = Bedrock("bedrock", args)
        pulumi.export("invokePolicy", host.invoke_policy)
        for name, endpoint in host.endpoints.items():
            pulumi.export(f"id-{name}", endpoint.model_id)
            pulumi.export(f"body-{name}", dict(endpoint.body))
            pulumi.export(f"ready-{name}", [each.urn for each in endpoint.ready])
        made.append(host)

    return run(program), made[0].endpoints


def urns(world: World, *names: str) -> frozenset[str]:
    return frozenset(world[name].urn for name in names)


def test_a_host_of_names_only_is_access_to_its_models():
    world, endpoints = provisioned(ARGS)
    assert {each.name: each.type for each in world.resources} == {
        "bedrock": "corral:hosts:Bedrock",
        "bedrock-access-llama-3.3-70b": ACCESS,
        "bedrock-access-llama-4-maverick": ACCESS,
    }
    assert world["bedrock-access-llama-3.3-70b"].inputs == {
        "name": "llama-3.3-70b",
        "host": "bedrock",
        "region": "us-east-1",
        "modelId": LLAMA.model_id,
        "foundation": LLAMA.foundation,
        "destinations": list(LLAMA.destinations),
        "acceptAgreements": False,
    }
    assert json.loads(world.outputs["invokePolicy"]) == document(invoke(ACCOUNT, [LLAMA, MAVERICK], {}, None))
    assert {name: replace(endpoint, ready=(), refusal=None) for name, endpoint in endpoints.items()} == {
        model.name: Endpoint(
            model=model.name,
            host="bedrock",
            hostname="bedrock-runtime.us-east-1.amazonaws.com",
            port=443,
            tls=True,
            protocol="bedrock-converse",
            path="",
            model_id=model.model_id,
            credential=AmbientCredential("us-east-1"),
        )
        for model in (LLAMA, MAVERICK)
    }


def test_an_endpoint_is_ready_when_its_own_model_may_be_called():
    world, _ = provisioned(ARGS)
    ready = {name: frozenset(world.outputs[f"ready-{name}"]) for name in (LLAMA.name, MAVERICK.name)}
    assert ready == {name: urns(world, f"bedrock-access-{name}") for name in (LLAMA.name, MAVERICK.name)}


def test_everything_the_stack_can_ask_for_is_made_of_whole_inputs():
    world, _ = provisioned(EVERYTHING)
    profile, guardrail = world["bedrock-profile-llama-3-3-70b-09b269"], world["bedrock-guardrail"]
    group, role = world["bedrock-invocations"], world["bedrock-invocations-writer"]
    guardrail_arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:bedrock-guardrail-guardrailArn"
    group_arn = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:bedrock-invocations-arn"
    filters = [
        {"type": each, "inputStrength": "HIGH", "outputStrength": "NONE" if each == "PROMPT_ATTACK" else "HIGH"}
        for each in ("HATE", "INSULTS", "MISCONDUCT", "PROMPT_ATTACK", "SEXUAL", "VIOLENCE")
    ]
    assert {
        each.name: {key: value for key, value in each.inputs.items() if key not in ("assumeRolePolicy", "policy")}
        for each in world.resources
        if each.type not in ("corral:hosts:Bedrock", ACCESS) and "maverick" not in each.name
    } == {
        profile.name: {
            "description": "llama 3.3 70b at bedrock",
            "modelSource": {
                "copyFrom": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.meta.llama3-3-70b-instruct-v1:0"
            },
            "region": "us-east-1",
            "tags": {"team": "search", **TAGS},
        },
        guardrail.name: {
            "blockedInputMessaging": "Blocked.",
            "blockedOutputsMessaging": "Blocked.",
            "contentPolicyConfig": {"filtersConfigs": filters},
            "region": "us-east-1",
            "tags": TAGS,
        },
        "bedrock-guardrail-version": {
            "guardrailArn": guardrail_arn,
            "description": world["bedrock-guardrail-version"].inputs["description"],
            "skipDestroy": True,
            "region": "us-east-1",
        },
        group.name: {"retentionInDays": 90, "region": "us-east-1", "tags": TAGS},
        role.name: {"tags": TAGS},
        "bedrock-invocations-write": {"role": "bedrock-invocations-writer-name"},
        "bedrock-invocation-logging": {
            "loggingConfig": {
                "cloudwatchConfig": {
                    "logGroupName": "bedrock-invocations-name",
                    "roleArn": f"arn:aws:iam:us-east-1:{ACCOUNT}:bedrock-invocations-writer-arn",
                },
                "textDataDeliveryEnabled": False,
                "imageDataDeliveryEnabled": False,
                "embeddingDataDeliveryEnabled": False,
                "videoDataDeliveryEnabled": False,
            },
            "region": "us-east-1",
        },
        "bedrock-endpoint-clients": {
            "description": "The gateway calls bedrock through its interface endpoint",
            "vpcId": "vpc-1",
            "ingress": [{"protocol": "tcp", "fromPort": 443, "toPort": 443, "securityGroups": ["sg-gateway"]}],
            "region": "us-east-1",
            "tags": TAGS,
        },
        "bedrock-endpoint": {
            "vpcId": "vpc-1",
            "serviceName": "com.amazonaws.us-east-1.bedrock-runtime",
            "vpcEndpointType": "Interface",
            "subnetIds": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["bedrock-endpoint-clients-id"],
            "privateDnsEnabled": True,
            "region": "us-east-1",
            "tags": TAGS,
        },
    }
    assert role.inputs["assumeRolePolicy"] == log_trust(ACCOUNT)
    assert json.loads(world["bedrock-invocations-write"].inputs["policy"]) == document([write_log(group_arn)])


def test_the_policy_names_the_application_profiles_and_the_guardrail():
    world, _ = provisioned(EVERYTHING)
    profiles = {
        name: f"arn:aws:bedrock:us-east-1:{ACCOUNT}:{profile}-arn"
        for name, profile in (
            (LLAMA.name, "bedrock-profile-llama-3-3-70b-09b269"),
            (MAVERICK.name, "bedrock-profile-llama-4-maverick-839901"),
        )
    }
    guardrail = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:bedrock-guardrail-guardrailArn"
    want = invoke(ACCOUNT, [LLAMA, MAVERICK], profiles, guardrail)
    assert json.loads(world.outputs["invokePolicy"]) == document(want)


def test_a_model_with_an_application_profile_is_called_through_it_and_with_the_guardrail():
    world, _ = provisioned(EVERYTHING)
    assert {
        "id": world.outputs["id-llama-3.3-70b"],
        "body": {key: json.loads(value) for key, value in world.outputs["body-llama-3.3-70b"].items()},
        "ready": frozenset(world.outputs["ready-llama-3.3-70b"]),
    } == {
        "id": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:bedrock-profile-llama-3-3-70b-09b269-arn",
        "body": {
            "guardrailConfig": {
                "guardrailIdentifier": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:bedrock-guardrail-guardrailArn",
                "guardrailVersion": "bedrock-guardrail-version-version",
            }
        },
        "ready": urns(
            world,
            "bedrock-access-llama-3.3-70b",
            "bedrock-profile-llama-3-3-70b-09b269",
            "bedrock-guardrail-version",
            "bedrock-endpoint",
        ),
    }


def test_what_an_older_state_calls_otherwise_is_kept():
    """Until 0.1 a profile was called as its model, dots and all, which Bedrock refuses."""
    world, _ = provisioned(EVERYTHING)
    aliases = {each.name: [urn.rpartition("::")[2] for urn in each.aliases] for each in world.resources if each.aliases}
    assert aliases == {
        "bedrock-profile-llama-3-3-70b-09b269": ["bedrock-profile-llama-3.3-70b"],
        "bedrock-profile-llama-4-maverick-839901": ["bedrock-profile-llama-4-maverick"],
    }


def test_everything_is_a_child_of_the_host():
    world, _ = provisioned(EVERYTHING)
    assert {each.parent for each in world.resources if each.custom} == {world["bedrock"].urn}


def test_the_log_is_turned_on_when_it_can_be_written_and_a_profile_is_made_when_its_model_may_be_called():
    world, _ = provisioned(EVERYTHING)
    assert urns(world, "bedrock-invocations-write") <= world["bedrock-invocation-logging"].dependencies
    assert (
        urns(world, "bedrock-access-llama-4-maverick") <= world["bedrock-profile-llama-4-maverick-839901"].dependencies
    )


def test_another_guardrail_is_another_version():
    def version(guardrail: Guardrail) -> Any:
        return provisioned(replace(ARGS, guardrail=guardrail))[0]["bedrock-guardrail-version"].inputs["description"]

    texts = {version(Guardrail(strength=one, message=text)) for one in ("LOW", "HIGH") for text in ("No.", "Never.")}
    assert len(texts) == 4


def test_boto3_is_not_loaded_with_the_component():
    program = "import sys, corral.hosts.bedrock.component; print({'boto3', 'botocore'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


HOST: dict[str, Any] = {"kind": "bedrock", "region": "us-east-1"}


def arguments(vpc: Vpc | None = None, **settings: Any) -> BedrockArgs:
    models = {name: {"shares": {"bedrock": 100}} for name in (LLAMA.name, MAVERICK.name)}
    return BedrockArgs.of("bedrock", site(stack({"bedrock": HOST | settings}, models), vpc=vpc))


def test_the_arguments_are_what_the_stack_and_the_catalog_say():
    assert arguments() == ARGS
    assert arguments(EVERYTHING.vpc) == ARGS
    assert (
        arguments(
            EVERYTHING.vpc,
            costTags={"team": "search"},
            guardrail={"strength": "HIGH", "message": "Blocked."},
            invocationLogs={"retentionDays": 90},
            vpcEndpoint=True,
        )
        == EVERYTHING
    )


APPLICATION = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123def456"


def called(**host: object) -> tuple[BedrockModel, ...]:
    """What a host is called for: one model is drained there, one falls back to it."""
    models = {
        "llama-3.3-70b": {"shares": {"bedrock": 0, "groq": 100}},
        "llama-3.1-8b": {"shares": {"groq": 100}, "fallback": ["bedrock"]},
    }
    return BedrockArgs.of("bedrock", site(stack({"bedrock": HOST | host, "groq": {"kind": "groq"}}, models))).models


def test_every_model_that_the_plan_has_there_is_called_drained_ones_and_fallbacks_too():
    small = "meta.llama3-1-8b-instruct-v1:0"
    assert called() == (bedrock_model(f"us.{small}", name="llama-3.1-8b", foundation=small), LLAMA)


def test_an_application_profile_takes_the_catalogs_word_for_the_model_behind_it():
    there = {"id": APPLICATION, "reaches": ["us-east-1", "us-west-2"]}
    want = bedrock_model(APPLICATION, ("us-east-1", "us-west-2"))
    assert called(models={"llama-3.3-70b": there})[1] == want
