import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.hosts.bedrock.access import BedrockModel
from corral.hosts.bedrock.identity import invoke, log_trust, partition, write_log
from corral.hosts.iam import document
from tests.hosts.bedrock.aws import bedrock_model

ACCOUNT = "123456789012"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{LLAMA}"
APPLICATION = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123"
GUARDRAIL = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/gr1"
INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]

THROUGH = bedrock_model(f"us.{LLAMA}", ("us-east-1", "us-west-2"))
PLAIN = bedrock_model(LLAMA, ("us-west-2",))
GIVEN = bedrock_model(APPLICATION, ("us-east-1",))


GUARDED = {"StringLike": {"bedrock:GuardrailIdentifier": f"{GUARDRAIL}:*"}}


def foundation(region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{LLAMA}"


def allow(actions: list[str], resources: list[str], **equal: Any) -> dict[str, Any]:
    condition = {"Condition": {"StringEquals": {f"bedrock:{key}": value for key, value in equal.items()}}}
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | (condition if equal else {})


@pytest.mark.parametrize(
    ("model", "profiles", "guardrail", "want"),
    [
        pytest.param(
            PLAIN, {}, None, [allow(INVOKE, [foundation("us-west-2")])], id="a foundation model by its own id"
        ),
        pytest.param(
            THROUGH,
            {},
            None,
            [
                allow(INVOKE, [PROFILE]),
                allow(INVOKE, [foundation("us-east-1"), foundation("us-west-2")], InferenceProfileArn=[PROFILE]),
            ],
            id="every destination of a cross-region profile, through it only",
        ),
        pytest.param(
            THROUGH,
            {"llama-3.3-70b": APPLICATION},
            None,
            [
                allow(INVOKE, [APPLICATION]),
                allow(
                    INVOKE,
                    [foundation("us-east-1"), foundation("us-west-2")],
                    InferenceProfileArn=[APPLICATION, PROFILE],
                ),
            ],
            id="an application profile instead of the one it was copied from",
        ),
        pytest.param(
            PLAIN,
            {"llama-3.3-70b": APPLICATION},
            None,
            [allow(INVOKE, [APPLICATION]), allow(INVOKE, [foundation("us-west-2")], InferenceProfileArn=[APPLICATION])],
            id="an application profile of a foundation model",
        ),
        pytest.param(
            GIVEN,
            {},
            None,
            [allow(INVOKE, [APPLICATION]), allow(INVOKE, [foundation("us-east-1")], InferenceProfileArn=[APPLICATION])],
            id="an application profile that the stack names",
        ),
        pytest.param(
            PLAIN,
            {},
            GUARDRAIL,
            [
                allow(INVOKE, [foundation("us-west-2")]) | {"Condition": GUARDED},
                allow(["bedrock:ApplyGuardrail"], [GUARDRAIL]),
            ],
            id="no call without a version of the guardrail",
        ),
        pytest.param(
            PLAIN,
            {"llama-3.3-70b": APPLICATION},
            GUARDRAIL,
            [
                allow(INVOKE, [APPLICATION]) | {"Condition": GUARDED},
                allow(INVOKE, [foundation("us-west-2")])
                | {"Condition": {"StringEquals": {"bedrock:InferenceProfileArn": [APPLICATION]}, **GUARDED}},
                allow(["bedrock:ApplyGuardrail"], [GUARDRAIL]),
            ],
            id="nor through a profile",
        ),
    ],
)
def test_the_gateway_may_call_what_the_plan_calls_and_nothing_else(
    model: BedrockModel, profiles: dict[str, str], guardrail: str | None, want: list[dict[str, Any]]
):
    statements = invoke(ACCOUNT, [model], profiles, guardrail)
    assert document(statements) == {"Version": "2012-10-17", "Statement": want}


def test_two_names_of_one_model_take_one_permission():
    other = bedrock_model(f"us.{LLAMA}", ("us-east-1", "us-west-2"), name="ours")
    assert invoke(ACCOUNT, [THROUGH, other], {}, None) == invoke(ACCOUNT, [THROUGH], {}, None)


@given(
    st.lists(st.sampled_from([THROUGH, PLAIN, GIVEN]), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_no_document_has_a_wildcard_but_for_the_version_of_a_guardrail(
    models: list[BedrockModel], application: bool, guarded: bool
):
    profiles = {model.name: APPLICATION for model in models} if application else {}
    written = json.dumps(document(invoke(ACCOUNT, models, profiles, GUARDRAIL if guarded else None)))
    assert "*" not in written.replace(json.dumps(GUARDED["StringLike"]), "")


def test_the_log_is_written_by_bedrock_for_this_account_into_its_one_stream():
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:bedrock-invocations-1a2b3c4"
    assert (json.loads(log_trust(ACCOUNT)), document([write_log(group)])) == (
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "bedrock.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
                }
            ],
        },
        {
            "Version": "2012-10-17",
            "Statement": [
                allow(
                    ["logs:CreateLogStream", "logs:PutLogEvents"],
                    [f"{group}:log-stream:aws/bedrock/modelinvocations"],
                )
            ],
        },
    )


@pytest.mark.parametrize(
    ("region", "want"),
    [
        ("us-east-1", "aws"),
        ("eu-central-1", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_belongs_to_a_partition(region: str, want: str):
    assert partition(region) == want
