"""The IAM documents of a Bedrock host.  Pure, and without a wildcard.

Policy.  Converse is authorised as InvokeModel, ConverseStream as InvokeModelWithResponseStream; nothing else is
allowed.  A profile is called by its own ARN, and AWS then asks for the foundation model's in each region to which the
profile may send the request: these are allowed through that profile only (`bedrock:InferenceProfileArn`).  Through an
application profile, the one it was copied from is let pass in that condition as well, since AWS does not document which
of the two it names; calling the latter stays forbidden.  With a guardrail, a call without it is denied
(`bedrock:GuardrailIdentifier`), so that a gateway which forgot to name it fails instead of letting everything through.
Source: docs.aws.amazon.com/bedrock, inference-profiles-prereq and guardrails-permissions-id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.hosts.bedrock.models import BedrockModel, is_profile, partition

_VERSION = "2012-10-17"
_INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
_LOG_STREAM = "aws/bedrock/modelinvocations"
"""The one log stream into which Bedrock writes, AWS's choice."""

Document = dict[str, Any]


@dataclass(frozen=True)
class PublishedGuardrail:
    """One version of a guardrail."""

    arn: str
    version: str


def profile_arn(model: BedrockModel, account: str, region: str) -> str | None:
    """The ARN of the inference profile that is called; None: the foundation model itself is."""
    if model.model_id.startswith("arn:"):
        return model.model_id if is_profile(model.model_id) else None
    if not is_profile(model.model_id):
        return None
    return f"arn:{partition(region)}:bedrock:{region}:{account}:inference-profile/{model.model_id}"


def foundation_arn(model: BedrockModel, region: str) -> str:
    """The ARN of the foundation model in one region."""
    return f"arn:{partition(region)}:bedrock:{region}::foundation-model/{model.foundation}"


def invoke_policy(
    account: str,
    region: str,
    models: Sequence[BedrockModel],
    application_profiles: Mapping[str, str],
    guardrail: PublishedGuardrail | None,
) -> Document:
    """What the gateway's identity may do: call these models from `region`.

    `application_profiles` has, per model's name, the ARN of the application profile it is called through.
    """
    statements: list[Document] = []
    for model in models:
        for statement in _invoke(model, account, region, application_profiles.get(model.name), guardrail):
            if statement not in statements:
                statements.append(statement)
    if guardrail:
        statements.append(_allow(("bedrock:ApplyGuardrail",), (guardrail.arn,), {}))
    return {"Version": _VERSION, "Statement": statements}


def _invoke(
    model: BedrockModel, account: str, region: str, application: str | None, guardrail: PublishedGuardrail | None
) -> Iterator[Document]:
    guarded = {"bedrock:GuardrailIdentifier": f"{guardrail.arn}:{guardrail.version}"} if guardrail else {}
    foundation = tuple(foundation_arn(model, destination) for destination in model.destinations)
    system = profile_arn(model, account, region)
    through = [arn for arn in (application, system) if arn]
    if not through:
        yield _allow(_INVOKE, foundation, guarded)
        return
    yield _allow(_INVOKE, (through[0],), guarded)
    yield _allow(_INVOKE, foundation, {"bedrock:InferenceProfileArn": through, **guarded})


def _allow(actions: Sequence[str], resources: Sequence[str], equal: Mapping[str, Any]) -> Document:
    allowed: Document = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return allowed | ({"Condition": {"StringEquals": dict(equal)}} if equal else {})


def log_trust(account: str) -> Document:
    """Who may take the role that writes the invocation log: Bedrock, on behalf of this account."""
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "bedrock.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def log_policy(log_group_arn: str) -> Document:
    """What that role may do: write into Bedrock's log stream of this group."""
    stream = f"{log_group_arn}:log-stream:{_LOG_STREAM}"
    return {
        "Version": _VERSION,
        "Statement": [_allow(("logs:CreateLogStream", "logs:PutLogEvents"), (stream,), {})],
    }
