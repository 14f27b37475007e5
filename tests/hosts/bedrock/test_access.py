from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from corral.hosts.bedrock.access import Access, BedrockModel, ErrorCode, Responses, is_profile, judge
from tests.hosts.bedrock import aws

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = aws.bedrock_model()
GOOD = Responses(
    profile=aws.profile(), model=aws.model(), availability=aws.availability(), offers=None, quotas=[aws.quota()]
)
PLAIN = aws.bedrock_model(aws.MODEL)
SIGNING = aws.bedrock_model(accept_agreements=True)
UNSIGNED = {"availability": aws.availability("NOT_AVAILABLE", entitlementAvailability="NOT_AVAILABLE")}
DENIED = ErrorCode("AccessDeniedException")
ABSENT = ErrorCode("ResourceNotFoundException")
PER_DAY = "Model invocation max tokens per day for Meta Llama 3.3 70B Instruct"
OF_ALL_MODELS = "Cross-Model Max Tokens Per Day"
ON_DEMAND = "On-demand InvokeModel tokens per minute for Meta Llama 3.3 70B Instruct"
QUOTAS = f"its quotas are above 0: “{aws.PER_MINUTE}” 600,000 (L-0E7AA8B7)"
PLAIN_QUOTAS = QUOTAS.replace(aws.PER_MINUTE, ON_DEMAND)
RAISED = "have it raised in Service Quotas, or through AWS Support where it is not adjustable"


@pytest.mark.parametrize(
    ("model", "responses", "why"),
    [
        (MODEL, {}, f"active; {QUOTAS}"),
        (
            MODEL,
            {
                "model": aws.model(
                    modelLifecycle={"status": "LEGACY", "endOfLifeTime": datetime(2027, 3, 1, tzinfo=UTC)}
                )
            },
            f"legacy: retires on 2027-03-01; {QUOTAS}",
        ),
        (
            PLAIN,
            {"profile": None, "quotas": [aws.quota(ON_DEMAND)]},
            f"active; {PLAIN_QUOTAS}",
        ),
        (MODEL, {"profile": aws.profile(("us-east-1",))}, f"active; {QUOTAS}"),
        (
            MODEL,
            {
                "quotas": [
                    aws.quota(),
                    aws.quota(ON_DEMAND, 0),
                    aws.quota(aws.PER_MINUTE.replace("tokens", "requests"), 0),
                ]
            },
            f"active; {QUOTAS}",
        ),
        (
            MODEL,
            {"quotas": [aws.quota(), aws.quota(aws.PER_MINUTE.replace("3.3", "3.1"), 0)]},
            f"active; {QUOTAS}",
        ),
        (
            MODEL,
            {"availability": aws.availability("NOT_AVAILABLE"), "offers": aws.offers()},
            f"active; {QUOTAS}",
        ),
        (
            MODEL,
            {"availability": aws.availability("NOT_AVAILABLE"), "offers": ABSENT},
            f"active; no agreement is needed; {QUOTAS}",
        ),
    ],
)
def test_it_is_allowed(model: BedrockModel, responses: dict[str, Any], why: str):
    assert judge(model, replace(GOOD, **responses), NOW) == Access("allowed", why, sign=False)


@pytest.mark.parametrize(
    ("model", "responses", "why"),
    [
        (MODEL, {"profile": ABSENT}, f"us-east-1 has no inference profile {aws.PROFILE}"),
        (
            MODEL,
            {"profile": aws.profile((*aws.REGIONS, "us-west-1"))},
            (
                "its profile sends requests to us-west-1 too, which the plan does not know of: list all of us-east-1, "
                "us-east-2, us-west-1, us-west-2 under corral:hosts.bedrock.models.llama-3.3-70b.reaches"
            ),
        ),
        (
            MODEL,
            {"profile": aws.profile(model="meta.other-v1:0")},
            f"behind {aws.PROFILE} is meta.other-v1:0, not {aws.MODEL}: correct the id",
        ),
        (
            PLAIN,
            {"profile": None, "model": aws.model(inferenceTypesSupported=[]), "quotas": [aws.quota(ON_DEMAND)]},
            f"us-east-1 takes no request by {aws.MODEL}: use the id of an inference profile",
        ),
        (
            PLAIN,
            {"profile": None, "model": ABSENT},
            f"us-east-1 has no model {aws.MODEL}: choose another region or model",
        ),
        (
            MODEL,
            {
                "model": aws.model(
                    modelLifecycle={"status": "LEGACY", "endOfLifeTime": datetime(2026, 7, 7, tzinfo=UTC)}
                )
            },
            f"{aws.MODEL} retired on 2026-07-07: use another model",
        ),
        (
            MODEL,
            {"availability": aws.availability(regionAvailability="NOT_AVAILABLE")},
            f"{aws.MODEL} is not available in us-east-1: call it in another region",
        ),
        (
            MODEL,
            {"availability": aws.availability(entitlementAvailability="NOT_AVAILABLE")},
            f"this account is not entitled to {aws.MODEL}: ask AWS Support to enable it",
        ),
        (
            MODEL,
            {"availability": aws.availability(authorizationStatus="NOT_AUTHORIZED")},
            (
                f"this account may not call {aws.MODEL}: look for a policy of IAM or of the organisation (SCP) that "
                "denies it"
            ),
        ),
        (
            MODEL,
            {"availability": aws.availability(agreementAvailability={"status": "ERROR", "errorMessage": "no card"})},
            f"the agreement on {aws.MODEL} failed: no card",
        ),
        (
            MODEL,
            {**UNSIGNED, "offers": aws.offers("token")},
            (
                f"{aws.MODEL} is offered under an agreement that is not signed: read its terms (`aws bedrock "
                f"list-foundation-model-agreement-offers --model-id {aws.MODEL}`), and set "
                "corral:hosts.bedrock.acceptAgreements: true"
            ),
        ),
        (
            MODEL,
            {"quotas": [aws.quota(value=0)]},
            f"the quota “{aws.PER_MINUTE}” of this account is 0 in us-east-1: {RAISED}",
        ),
        (
            MODEL,
            {"quotas": [aws.quota(value=0), aws.quota(PER_DAY, 0)]},
            f"the quota “{aws.PER_MINUTE}” and “{PER_DAY}” of this account is 0 in us-east-1: {RAISED}",
        ),
        (
            MODEL,
            {"quotas": [aws.quota(), aws.quota(OF_ALL_MODELS, 0)]},
            f"the quota “{OF_ALL_MODELS}” of this account is 0 in us-east-1: {RAISED}",
        ),
        (
            PLAIN,
            {"profile": None, "quotas": [aws.quota(ON_DEMAND, 0)]},
            f"the quota “{ON_DEMAND}” of this account is 0 in us-east-1: {RAISED}",
        ),
        (
            MODEL,
            {"profile": ErrorCode("ExpiredTokenException"), "quotas": DENIED},
            "it refuses the AWS credentials (ExpiredTokenException): sign in again",
        ),
        (
            MODEL,
            {"availability": aws.availability(regionAvailability="NOT_AVAILABLE"), "quotas": [aws.quota(value=0)]},
            (
                f"{aws.MODEL} is not available in us-east-1: call it in another region; "
                f"the quota “{aws.PER_MINUTE}” of this account is 0 in us-east-1: {RAISED}"
            ),
        ),
    ],
)
def test_it_is_refused_with_the_way_out(model: BedrockModel, responses: dict[str, Any], why: str):
    assert judge(model, replace(GOOD, **responses), NOW) == Access("refused", why, sign=False)


MAY_NOT = "these AWS credentials may not ask: allow "


@pytest.mark.parametrize(
    ("responses", "why"),
    [
        ({"profile": DENIED}, f"{MAY_NOT}bedrock:GetInferenceProfile"),
        (
            {"model": DENIED},
            f"{MAY_NOT}bedrock:GetFoundationModel; which quotas it has is unknown without the model's name",
        ),
        (
            {"model": ABSENT},
            (
                f"us-east-1 knows nothing of {aws.MODEL}, which the profile calls elsewhere; "
                "which quotas it has is unknown without the model's name"
            ),
        ),
        ({"availability": DENIED}, f"{MAY_NOT}bedrock:GetFoundationModelAvailability"),
        ({"availability": ABSENT}, f"us-east-1 does not tell whether {aws.MODEL} is available"),
        (
            {"availability": aws.availability("NOT_AVAILABLE"), "offers": DENIED},
            f"{MAY_NOT}bedrock:ListFoundationModelAgreementOffers",
        ),
        (
            {"availability": aws.availability("PENDING")},
            f"the agreement on {aws.MODEL} is still being made: run again in some minutes",
        ),
        ({"quotas": DENIED}, f"{MAY_NOT}servicequotas:ListServiceQuotas"),
        ({"quotas": ErrorCode("TooManyRequestsException")}, "it answers TooManyRequestsException: try again later"),
        ({"quotas": []}, f"Service Quotas lists no token quota of {aws.MODEL} in us-east-1"),
    ],
)
def test_what_cannot_be_asked_is_unknown_and_says_what_it_takes(responses: dict[str, Any], why: str):
    assert judge(MODEL, replace(GOOD, **responses), NOW) == Access("unknown", why, sign=False)


def test_an_agreement_is_signed_where_one_is_offered_and_the_stack_says_so():
    offered = replace(GOOD, **UNSIGNED, offers=aws.offers("token"))
    assert judge(SIGNING, offered, NOW) == Access("allowed", f"active; {QUOTAS}", sign=True)


def test_nothing_is_signed_for_a_model_that_is_refused():
    refused = replace(GOOD, **UNSIGNED, offers=aws.offers("token"), quotas=[aws.quota(value=0)])
    assert judge(SIGNING, refused, NOW).sign is False


LLAMA = "meta.llama3-3-70b-instruct-v1:0"
HERE = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("model_id", "want"),
    [
        (LLAMA, False),
        (f"us.{LLAMA}", True),
        (f"us-gov.{LLAMA}", True),
        (f"{HERE}:inference-profile/us.{LLAMA}", True),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}", False),
        (f"{HERE}:application-inference-profile/abc123def456", True),
        (f"{HERE}:provisioned-model/abc123def456", False),
    ],
)
def test_an_id_tells_whether_it_is_a_profile(model_id: str, want: bool):
    assert is_profile(model_id) is want


MAVERICK_QUOTA = "Cross-region model inference tokens per minute for Meta Llama 4 Maverick V1"


@pytest.mark.parametrize(
    ("name", "want"),
    [("Llama 4 Maverick 17B Instruct", "refused"), ("Llama 4 Scout 17B Instruct", "unknown")],
)
def test_the_quota_of_llama_4_is_found_by_the_name_that_aws_gives_it(name: str, want: str):
    details = aws.model(modelName=name)
    asked = replace(GOOD, model=details, quotas=[aws.quota(MAVERICK_QUOTA, 0)])
    assert judge(MODEL, asked, NOW).outcome == want


def test_a_quota_of_0_comes_with_the_request_for_what_aws_gives_an_account():
    responses = replace(GOOD, quotas=[aws.quota(value=0)], defaults={"L-0E7AA8B7": 600_000.0})
    assert judge(MODEL, responses, NOW).why == (
        f"the quota “{aws.PER_MINUTE}” of this account is 0 in us-east-1: ask for AWS's default, `aws service-quotas "
        "request-service-quota-increase --service-code bedrock --quota-code L-0E7AA8B7 --desired-value 600000 "
        "--region us-east-1`"
    )
