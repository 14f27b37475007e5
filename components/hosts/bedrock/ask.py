"""Asks Bedrock and Service Quotas what `access` judges, and signs an agreement.

The clients are boto3's `bedrock` and `service-quotas`.  An error that AWS answers with becomes part of the answer;
botocore's BotoCoreError (nobody reached, no region) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.hosts.bedrock.access import Answer, Answers, Asked, Unanswered, needs_agreement
from components.hosts.bedrock.answers import error_code
from components.hosts.bedrock.ids import is_profile


def ask(asked: Asked, bedrock: Any, quotas: Sequence[Mapping[str, Any]] | Unanswered) -> Answers:
    """At most four questions; `quotas` are those of the region, which all its models share."""
    model = asked.foundation
    profile = (
        _answer(bedrock.get_inference_profile, inferenceProfileIdentifier=asked.model_id)
        if is_profile(asked.model_id)
        else None
    )
    availability = _answer(bedrock.get_foundation_model_availability, modelId=model)
    return Answers(
        profile=profile,
        model=_answer(bedrock.get_foundation_model, modelIdentifier=model),
        availability=availability,
        offers=_offers(bedrock, model) if needs_agreement(availability) else None,
        quotas=quotas,
    )


def list_quotas(client: Any) -> Sequence[Mapping[str, Any]] | Unanswered:
    """All of Bedrock's quotas that are applied to the account in the client's region."""
    from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs]

    try:
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
        return [quota for page in pages for quota in page["Quotas"]]
    except ClientError as error:
        return Unanswered(error_code(error))


def sign(bedrock: Any, model: str) -> None:
    """Signs the agreement under which AWS offers the foundation model.  Raises botocore's ClientError."""
    offer = bedrock.list_foundation_model_agreement_offers(modelId=model, offerType="PUBLIC")["offers"][0]
    bedrock.create_foundation_model_agreement(modelId=model, offerToken=offer["offerToken"])


def _offers(bedrock: Any, model: str) -> Answer:
    return _answer(bedrock.list_foundation_model_agreement_offers, modelId=model, offerType="PUBLIC")


def _answer(operation: Callable[..., Mapping[str, Any]], **parameters: str) -> Answer:
    from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs]

    try:
        return operation(**parameters)
    except ClientError as error:
        return Unanswered(error_code(error))
