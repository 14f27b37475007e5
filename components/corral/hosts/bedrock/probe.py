"""Clients of AWS that are only made where there are credentials, and never wait for ever.

Asks Bedrock for each model's lifecycle and, where the id is a cross-region profile's, for the profile.

GetInferenceProfile tells whether the profile can be called from the region and which model is behind it;
GetFoundationModel tells that model's lifecycle.  The shapes are those of botocore's `bedrock`, 2023-04-20.

What they do not tell: whether a policy forbids the call in one of the profile's regions, and whether the account's
quota is above 0.  Credentials that may invoke a model but may not ask for it (AccessDeniedException) give unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, cast

from corral.hosts.bedrock.access import Said, error_code, failure, lifecycle
from corral.hosts.bedrock.models import is_profile
from corral.hosts.probing import HostError, Question, Verdict


def client(service: str, region: str, timeout: float) -> Any | None:
    """A boto3 client with the credentials of the environment; None where there are none for this service.

    Every call takes two attempts of `timeout` seconds at most.  The machine's metadata service, where credentials may
    come from, gets a second.  Raises botocore's BotoCoreError where the AWS configuration is broken.
    """
    import boto3  # pyright: ignore[reportMissingTypeStubs]
    from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

    session = _session()
    if not _has_credentials(session, service):
        return None
    config = Config(
        connect_timeout=timeout, read_timeout=timeout, retries={"mode": "standard", "total_max_attempts": 2}
    )
    aws: Any = boto3.Session(botocore_session=session, region_name=region)
    return aws.client(service, config=config)


@cache
def signed_in() -> bool:
    """Whether this machine has credentials for Bedrock.  It is looked for once in a process: that may take a second."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    try:
        return _has_credentials(_session(), "bedrock")
    except BotoCoreError:
        return False


def _session() -> Any:
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]

    session: Any = botocore.session.Session()
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    return session


def _has_credentials(session: Any, service: str) -> bool:
    return session.get_auth_token(signing_name=service) is not None or session.get_credentials() is not None


_PERMISSIONS = "bedrock:GetInferenceProfile and bedrock:GetFoundationModel"


class Bedrock(Protocol):
    """The two calls of botocore's `bedrock` client that are made here."""

    def get_inference_profile(self, *, inferenceProfileIdentifier: str) -> Mapping[str, Any]: ...  # noqa: N803

    def get_foundation_model(self, *, modelIdentifier: str) -> Mapping[str, Any]: ...  # noqa: N803


def connect(region: str, timeout: float) -> Bedrock | None:
    """A client with the credentials of the environment; None where there are none.  Raises BotoCoreError."""
    return cast("Bedrock | None", client("bedrock", region, timeout))


def probe(
    questions: Sequence[Question], timeout: float, connect: Callable[[str, float], Bedrock | None] = connect
) -> list[Verdict]:
    """A verdict per question, in their order.  Raises HostError."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    region = questions[0].target.region
    if region is None:
        raise HostError("unknown", "no AWS region is named: set the host's `region`, or `aws:region`")
    try:
        bedrock = connect(region, timeout)
        if bedrock is None:
            raise HostError("unknown", "there are no AWS credentials: sign in, or set AWS_BEARER_TOKEN_BEDROCK")
        return [question.answered(*_said(question.target.model_id, bedrock, region)) for question in questions]
    except BotoCoreError as error:
        raise HostError("unknown", f"it cannot be asked ({type(error).__name__})") from None


def _said(id_: str, bedrock: Bedrock, region: str) -> Said:
    from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs]

    now = datetime.now(UTC)
    try:
        if not is_profile(id_):
            return _of_model(bedrock.get_foundation_model(modelIdentifier=id_)["modelDetails"], region, now)
        profile = bedrock.get_inference_profile(inferenceProfileIdentifier=id_)
    except ClientError as error:
        return failure(error_code(error), _PERMISSIONS, absent=("refused", f"{region} knows no such id"))
    model_id = profile["models"][0]["modelArn"].rpartition("/")[2]
    try:
        return lifecycle(bedrock.get_foundation_model(modelIdentifier=model_id)["modelDetails"], now)
    except ClientError as error:
        why = f"the profile is there, but {region} knows nothing of {model_id} behind it"
        return failure(error_code(error), _PERMISSIONS, absent=("unknown", why))


def _of_model(details: Mapping[str, Any], region: str, now: datetime) -> Said:
    if "ON_DEMAND" not in details.get("inferenceTypesSupported", ["ON_DEMAND"]):
        return "refused", f"{region} takes no request by this id: use that of an inference profile"
    return lifecycle(details, now)
