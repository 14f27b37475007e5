"""Asks Bedrock and Service Quotas what `access` judges, and signs an agreement.

The clients are boto3's `bedrock` and `service-quotas`.  An error that AWS answers with becomes part of the answer;
botocore's BotoCoreError (nobody reached, no region) is raised.

The dynamic provider of model access: asks when a model is new, when what is asked changed, and on refresh.

Policy.  All deciding happens in `check`, which Pulumi calls in a preview as well and whose refusals it prints without a
traceback; `create` and `update` only sign the agreement that `check` said is to be signed.  A verdict of `allowed` is
kept until a refresh asks again; any other is asked again each time.  Without AWS credentials nothing is asked and the
verdict is unknown.  A refresh stores whatever it finds, and the next `up` is refused if that is a refusal.  Deleting
leaves an agreement in force: other stacks may live by it.

Pulumi keeps a pickle of the provider in its state: of a class that can be imported, that is its name and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, ResourceProvider
from pulumi.dynamic import UpdateResult as Updated

from corral.hosts.bedrock.access import Access, Answer, Answers, Asked, Unanswered, access, error_code, needs_agreement
from corral.hosts.bedrock.models import is_profile
from corral.hosts.bedrock.probe import client


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


TIMEOUT = 5.0
"""Seconds for one of the two attempts of a question."""

_ASKED = ("name", "host", "region", "modelId", "foundation", "destinations", "acceptAgreements")
_FOUND = ("outcome", "why", "sign")
_REPLACES = ("region", "modelId")

Properties = dict[str, Any]


class ModelAccessProvider(ResourceProvider):
    """Holds nothing, so that its pickle does not either."""

    serialize_as_secret_always = False

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        asked = _picked(news, _ASKED)
        if _olds.get("outcome") == "allowed" and _picked(_olds, _ASKED) == asked:
            return CheckResult(asked | _picked(_olds, _FOUND), [])
        found = find(_asked(news))
        failures = [CheckFailure("modelId", f"{news['name']}: {found.why}")] if found.outcome == "refused" else []
        return CheckResult(asked | _found(found), failures)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        changed = [key for key in (*_ASKED, *_FOUND) if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=[key for key in changed if key in _REPLACES])

    def create(self, props: Properties) -> CreateResult:
        _sign_if_needed(props)
        return CreateResult(f"{props['region']}/{props['modelId']}", dict(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> Updated:
        _sign_if_needed(_news)
        return Updated(dict(_news))

    def read(self, id_: str, props: Properties) -> ReadResult:
        now = _picked(props, _ASKED) | _found(find(_asked(props)))
        return ReadResult(id_, dict(now), dict(now))


def find(asked: Asked) -> Access:
    """Asks AWS, with the credentials of the environment.  Raises nothing for what AWS or the network do."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    try:
        bedrock = client("bedrock", asked.region, TIMEOUT)
        if bedrock is None:
            return Access("unknown", "there are no AWS credentials to ask with: sign in", sign=False)
        return access(asked, ask(asked, bedrock, _quotas(asked.region)), datetime.now(UTC))
    except BotoCoreError as error:
        return Access("unknown", f"Bedrock cannot be asked ({type(error).__name__}): try again later", sign=False)


@lru_cache
def _quotas(region: str) -> Any:
    """A region has a thousand quotas, which all its models share; the process lives for one run of Pulumi."""
    quotas = client("service-quotas", region, TIMEOUT)
    return list_quotas(quotas) if quotas else Unanswered("AccessDeniedException")


def _sign_if_needed(props: Properties) -> None:
    if props["sign"]:
        sign(client("bedrock", props["region"], TIMEOUT), props["foundation"])


def _asked(props: Properties) -> Asked:
    return Asked(
        name=props["name"],
        host=props["host"],
        region=props["region"],
        model_id=props["modelId"],
        foundation=props["foundation"],
        destinations=tuple(props["destinations"]),
        accept_agreements=props["acceptAgreements"],
    )


def _found(found: Access) -> Properties:
    return {"outcome": found.outcome, "why": found.why, "sign": found.sign}


def _picked(props: Mapping[str, Any], keys: tuple[str, ...]) -> Properties:
    return {key: props[key] for key in keys if key in props}
