"""Calls AWS: whether a model can be had (`verify`), whether this account may call it, and to sign an agreement.

Clients are only made where there are credentials, and never wait for ever.  The shapes are those of botocore's
`bedrock`, 2023-04-20, and `service-quotas`.

GetInferenceProfile tells whether the profile can be called from the region and which model is behind it;
GetFoundationModel tells that model's lifecycle.  What they do not tell: whether a policy forbids the call in one of the
profile's regions, and whether the account's quota is above 0.  Credentials that may invoke a model but may not ask for
it (AccessDeniedException) give unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3  # pyright: ignore[reportMissingTypeStubs]
import botocore.session  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from corral.hosts.bedrock.access import (
    Access,
    BedrockModel,
    ErrorCode,
    Response,
    Responses,
    is_profile,
    judge,
    judge_error,
    judge_lifecycle,
    needs_agreement,
    takes_plain_id,
)
from corral.hosts.probing import HostError, Judgement

_TIMEOUT_SECONDS = 5.0
"""For one of the two attempts of a call on the account."""

_PERMISSIONS = "bedrock:GetInferenceProfile and bedrock:GetFoundationModel"


def client(service: str, region: str, timeout: float) -> Any | None:
    """A boto3 client with the credentials of the environment; None where there are none for this service.

    Every call takes two attempts of `timeout` seconds at most.  Raises BotoCoreError where the AWS configuration is
    broken.
    """
    session = _session(service)
    if session is None:
        return None
    config = Config(
        connect_timeout=timeout, read_timeout=timeout, retries={"mode": "standard", "total_max_attempts": 2}
    )
    aws: Any = boto3.Session(botocore_session=session, region_name=region)
    return aws.client(service, config=config)


@cache
def signed_in() -> bool:
    """Whether this machine has credentials for Bedrock, found out once in a process: that may take a second."""
    try:
        return _session("bedrock") is not None
    except BotoCoreError:
        return False


def _session(service: str) -> Any | None:
    """A session with credentials for the service; a machine's metadata service, which may have some, gets a second."""
    session: Any = botocore.session.Session()
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    return session if session.get_auth_token(signing_name=service) or session.get_credentials() else None


def probe(model_ids: Sequence[str], region: str | None, timeout: float) -> list[Judgement]:
    """What the region says of each id, in their order.  Raises HostError."""
    if region is None:
        raise HostError("unknown", "no AWS region is named: set the host's `region`, or `aws:region`")
    try:
        bedrock = client("bedrock", region, timeout)
        if bedrock is None:
            raise HostError("unknown", "there are no AWS credentials: sign in, or set AWS_BEARER_TOKEN_BEDROCK")
        return [_judgement(model_id, bedrock, region) for model_id in model_ids]
    except BotoCoreError as error:
        raise HostError("unknown", f"it cannot be asked ({type(error).__name__})") from None


def _judgement(model_id: str, bedrock: Any, region: str) -> Judgement:
    now, behind = datetime.now(UTC), model_id
    absent: Judgement = ("refused", f"{region} knows no such id")
    if is_profile(model_id):
        profile = _response(bedrock.get_inference_profile, inferenceProfileIdentifier=model_id)
        if isinstance(profile, ErrorCode):
            return judge_error(profile.code, _PERMISSIONS, absent=absent)
        behind = profile["models"][0]["modelArn"].rpartition("/")[2]
        absent = ("unknown", f"the profile is there, but {region} knows nothing of {behind} behind it")
    model = _response(bedrock.get_foundation_model, modelIdentifier=behind)
    if isinstance(model, ErrorCode):
        return judge_error(model.code, _PERMISSIONS, absent=absent)
    details = model["modelDetails"]
    if behind == model_id and not takes_plain_id(details):
        return "refused", f"{region} takes no request by this id: use that of an inference profile"
    return judge_lifecycle(details, now)


def _response(operation: Callable[..., Mapping[str, Any]], **parameters: str) -> Response:
    try:
        return operation(**parameters)
    except ClientError as error:
        return _error_code(error)


def _error_code(error: ClientError) -> ErrorCode:
    response: Mapping[str, Any] = error.response
    return ErrorCode(response.get("Error", {}).get("Code", "an error without a name"))


def check_access(model: BedrockModel) -> Access:
    """Asks AWS, with the credentials of the environment.  Raises nothing for what AWS or the network do."""
    try:
        bedrock = client("bedrock", model.region, _TIMEOUT_SECONDS)
        if bedrock is None:
            return Access("unknown", "there are no AWS credentials to ask with: sign in", sign=False)
        return judge(model, _responses(model, bedrock), datetime.now(UTC))
    except BotoCoreError as error:
        return Access("unknown", f"Bedrock cannot be asked ({type(error).__name__}): try again later", sign=False)


def _responses(model: BedrockModel, bedrock: Any) -> Responses:
    """At most four calls, and one for the quotas of the region."""
    profile, offers = None, None
    if is_profile(model.model_id):
        profile = _response(bedrock.get_inference_profile, inferenceProfileIdentifier=model.model_id)
    availability = _response(bedrock.get_foundation_model_availability, modelId=model.foundation)
    details = _response(bedrock.get_foundation_model, modelIdentifier=model.foundation)
    if needs_agreement(availability):
        operation = bedrock.list_foundation_model_agreement_offers
        offers = _response(operation, modelId=model.foundation, offerType="PUBLIC")
    return Responses(profile, details, availability, offers, applied_quotas(model.region))


@cache
def applied_quotas(region: str) -> Sequence[Mapping[str, Any]] | ErrorCode:
    """All of Bedrock's quotas that are applied to the account in the region.

    A region has a thousand, which all its models share; the process lives for one run of Pulumi.
    """
    quotas = client("service-quotas", region, _TIMEOUT_SECONDS)
    if quotas is None:
        return ErrorCode("AccessDeniedException")
    try:
        pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
        return [quota for page in pages for quota in page["Quotas"]]
    except ClientError as error:
        return _error_code(error)


def sign_agreement(region: str, foundation: str) -> None:
    """Signs the agreement under which AWS offers the foundation model.  Raises botocore's ClientError."""
    bedrock: Any = client("bedrock", region, _TIMEOUT_SECONDS)
    offer = bedrock.list_foundation_model_agreement_offers(modelId=foundation, offerType="PUBLIC")["offers"][0]
    bedrock.create_foundation_model_agreement(modelId=foundation, offerToken=offer["offerToken"])
