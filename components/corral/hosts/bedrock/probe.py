"""Calls AWS: whether a model can be had (`verify`), whether this account may call it, and to sign an agreement.

Clients are only made where there are credentials, and never wait for ever.  The shapes are those of botocore's
`bedrock`, 2023-04-20, and `service-quotas`.

GetInferenceProfile tells whether the profile can be called from the region and which model is behind it;
GetFoundationModel tells that model's lifecycle.  All models and regions of the profile are held against the plan.  What
they do not tell: whether a policy forbids the call in one of the profile's regions, and whether the account's quota is
above 0.  Credentials that may invoke a model but may not ask for it (AccessDeniedException) give unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from corral.hosts.aws import TIMEOUT_SECONDS, Account, ErrorCode, client, error_code
from corral.hosts.bedrock.access import (
    Access,
    BedrockModel,
    Response,
    Responses,
    counting_quotas,
    is_profile,
    judge,
    judge_serving,
    needs_agreement,
)
from corral.hosts.probing import HostError, Judgement
from corral.plan.plan import Target
from corral.plan.residency import are_regions


def probe(targets: Mapping[str, Target], region: str | None, timeout: float) -> dict[str, Judgement]:
    """What the region says of each model, by its name.  Raises HostError."""
    if region is None:
        raise HostError("unknown", "no AWS region is named: set the host's `region`, or `aws:region`")
    try:
        bedrock = client("bedrock", region, timeout)
        if bedrock is None:
            raise HostError("unknown", "there are no AWS credentials: sign in, or set AWS_BEARER_TOKEN_BEDROCK")
        return {name: _judgement(name, target, bedrock, region) for name, target in targets.items()}
    except BotoCoreError as error:
        raise HostError("unknown", f"it cannot be asked ({type(error).__name__})") from None


def _judgement(name: str, target: Target, bedrock: Any, region: str) -> Judgement:
    """What the plan does not know of the model, and the regions that it does not name, are as Bedrock has them."""
    profile, model_id = None, target.model_id
    if is_profile(model_id):
        profile = _response(bedrock.get_inference_profile, inferenceProfileIdentifier=model_id)
    gone = isinstance(profile, ErrorCode)
    behind: list[Mapping[str, Any]] = [] if profile is None or isinstance(profile, ErrorCode) else profile["models"]
    listed: list[str] = sorted(each["modelArn"].rpartition("/")[2] for each in behind)
    model = BedrockModel(
        name=name,
        host=target.host,
        region=region,
        model_id=model_id,
        foundation=target.base_model or next(iter(listed), model_id),
        destinations=[*target.reaches] if target.reaches and are_regions(target.reaches) else [],
        accept_agreements=False,
    )
    details = None if gone else _response(bedrock.get_foundation_model, modelIdentifier=model.foundation)
    return judge_serving(model, profile, details, datetime.now(UTC))


def _response(operation: Callable[..., Mapping[str, Any]], **parameters: str) -> Response:
    try:
        return operation(**parameters)
    except ClientError as error:
        return error_code(error)


def check_access(model: BedrockModel) -> Access:
    """Asks AWS, with the credentials of the environment.  Raises nothing for what AWS or the network do."""
    try:
        bedrock = client("bedrock", model.region, TIMEOUT_SECONDS)
        if bedrock is None:
            return Access("unknown", "there are no AWS credentials to ask with: sign in", sign=False)
        return judge(model, _responses(model, bedrock), datetime.now(UTC))
    except BotoCoreError as error:
        return Access("unknown", f"Bedrock cannot be asked ({type(error).__name__}): try again later", sign=False)


def _responses(model: BedrockModel, bedrock: Any) -> Responses:
    """At most four calls, one for the quotas of the region, and one for each that is 0."""
    profile, offers = None, None
    if is_profile(model.model_id):
        profile = _response(bedrock.get_inference_profile, inferenceProfileIdentifier=model.model_id)
    availability = _response(bedrock.get_foundation_model_availability, modelId=model.foundation)
    details = _response(bedrock.get_foundation_model, modelIdentifier=model.foundation)
    if needs_agreement(availability):
        operation = bedrock.list_foundation_model_agreement_offers
        offers = _response(operation, modelId=model.foundation, offerType="PUBLIC")
    quotas = applied_quotas(model.region)
    counting: Sequence[Mapping[str, Any]] = ()
    if not isinstance(details, ErrorCode) and not isinstance(quotas, ErrorCode):
        counting = counting_quotas(model, details, quotas)
    defaults = {each["QuotaCode"]: _default(each["QuotaCode"], model.region) for each in counting if not each["Value"]}
    return Responses(profile, details, availability, offers, quotas, defaults)


def _default(code: str, region: str) -> float:
    """What AWS gives an account of a quota; 0: it does not say."""
    try:
        answer = Account(region).read(
            "service-quotas", "get_aws_default_service_quota", ServiceCode="bedrock", QuotaCode=code
        )
    except HostError:
        return 0
    return answer["Quota"]["Value"] if answer else 0


@cache
def applied_quotas(region: str) -> Sequence[Mapping[str, Any]] | ErrorCode:
    """All of Bedrock's quotas that are applied to the account in the region.

    A region has a thousand, which all its models share; the process lives for one run of Pulumi.
    """
    quotas = client("service-quotas", region, TIMEOUT_SECONDS)
    if quotas is None:
        return ErrorCode("AccessDeniedException")
    try:
        pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
        return [quota for page in pages for quota in page["Quotas"]]
    except ClientError as error:
        return error_code(error)


def sign_agreement(region: str, foundation: str) -> None:
    """Signs the agreement under which AWS offers the foundation model.  Raises botocore's ClientError."""
    bedrock: Any = client("bedrock", region, TIMEOUT_SECONDS)
    offer = bedrock.list_foundation_model_agreement_offers(modelId=foundation, offerType="PUBLIC")["offers"][0]
    bedrock.create_foundation_model_agreement(modelId=foundation, offerToken=offer["offerToken"])
