"""Who may do what for a Bedrock host, as statements of IAM.  Without a wildcard.

Policy.  The gateway may call what the plan calls and nothing else.  Converse is authorised as InvokeModel,
ConverseStream as InvokeModelWithResponseStream; nothing else is allowed.  A profile is called by its own ARN, and AWS
then asks for the foundation model's in each region to which the profile may send the request: these are allowed through
that profile only (`bedrock:InferenceProfileArn`).  Through an application profile, the one it was copied from is let
pass in that condition as well, since AWS does not document which of the two it names; calling the latter stays
forbidden.  With a guardrail, a call without it is denied (`bedrock:GuardrailIdentifier`), so that a gateway which
forgot to name it fails instead of letting everything through.  Any published version of it will do, as the gateway
learns of a new one a minute and a half after IAM may have.
Source: docs.aws.amazon.com/bedrock, inference-profiles-prereq and guardrails-permissions-id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from corral.config.provisioning import partition
from corral.hosts.bedrock.access import BedrockModel, is_profile
from corral.hosts.iam import Statement, trust

_INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
_LOG_STREAM = "aws/bedrock/modelinvocations"
"""The one log stream into which Bedrock writes, AWS's choice."""


def profile_arn(model: BedrockModel, account: str) -> str | None:
    """The ARN of the inference profile that is called; None: the foundation model itself is."""
    if not is_profile(model.model_id):
        return None
    if model.model_id.startswith("arn:"):
        return model.model_id
    return f"arn:{partition(model.region)}:bedrock:{model.region}:{account}:inference-profile/{model.model_id}"


def foundation_arn(model: BedrockModel, region: str) -> str:
    """The ARN of the foundation model in one region."""
    return f"arn:{partition(region)}:bedrock:{region}::foundation-model/{model.foundation}"


def invoke(
    account: str,
    models: Sequence[BedrockModel],
    application_profiles: Mapping[str, str],
    guardrail: str | None,
) -> list[Statement]:
    """What the gateway's identity may do: call these models from their region.

    `application_profiles` has, per model's name, the ARN of the application profile it is called through; `guardrail`
    is an ARN.
    """
    statements: list[Statement] = []
    for model in models:
        for statement in _invoke(model, account, application_profiles.get(model.name), guardrail):
            if statement not in statements:
                statements.append(statement)
    if guardrail:
        statements.append(Statement(["bedrock:ApplyGuardrail"], [guardrail], {}))
    return statements


def _invoke(model: BedrockModel, account: str, application: str | None, guardrail: str | None) -> Iterator[Statement]:
    guarded = {"StringLike": {"bedrock:GuardrailIdentifier": f"{guardrail}:*"}} if guardrail else {}
    foundation = [foundation_arn(model, destination) for destination in model.destinations]
    through = [arn for arn in (application, profile_arn(model, account)) if arn]
    called = through[:1] or foundation
    yield Statement(_INVOKE, called, guarded)
    if through:
        yield Statement(_INVOKE, foundation, {"StringEquals": {"bedrock:InferenceProfileArn": through}, **guarded})


def log_trust(account: str) -> str:
    """Who may take the role that writes the invocation log (JSON): Bedrock, on behalf of this account."""
    return trust("bedrock.amazonaws.com", "sts:AssumeRole", {"StringEquals": {"aws:SourceAccount": account}})


def write_log(log_group_arn: str) -> Statement:
    """What that role may do: write into Bedrock's log stream of this group."""
    stream = f"{log_group_arn}:log-stream:{_LOG_STREAM}"
    return Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [stream], {})
