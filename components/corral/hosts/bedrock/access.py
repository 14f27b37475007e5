"""What an answer of Bedrock's means, and what it means that there is none.

May this account call this model from this region?  Judges Bedrock's and Service Quotas' answers; asks nothing.

Policy.  Five things are judged, each for itself: the inference profile and where it sends requests, the model's life,
its availability, the agreement it may be offered under, and the token quotas.  One refused is refused; else one unknown
is unknown; else allowed.  What could not be asked is unknown, and says which permission would let it be asked.

- A profile that sends requests to a region which the plan does not know is refused: the permissions that are written
  for the gateway would not cover it, and no residency would have been proved for it.
- Llama is sold without an agreement.  A model for which AWS has no agreement in force (NOT_AVAILABLE) needs one only
  where AWS offers one; it is signed where the stack says so.
- A new account can have an applied quota of 0 although the model is available to it: every call is then throttled.
  Quotas are found by their names, of which AWS has used several spellings; codes are not documented.  What counts is
  tokens per minute (cross-region through a profile, on-demand without one) and tokens per day; AWS no longer enforces
  requests per minute.  Source: docs.aws.amazon.com/bedrock, quotas-runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from corral.hosts.bedrock.models import is_profile
from corral.hosts.probing import Outcome

Said = tuple[Outcome, str]
"""An outcome and why."""

ABSENT = ("ResourceNotFoundException", "ValidationException")
"""Bedrock calls an id that it does not know invalid as often as not found."""

_BAD_CREDENTIALS = (
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
)


def error_code(error: Exception) -> str:
    """The name that AWS gave a botocore ClientError."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "an error without a name")


def failure(code: str, permissions: str, *, absent: Said) -> Said:
    """What an error of this code means; `absent` where it says that what was asked for is not there.

    `permissions` are the IAM actions that the question takes.
    """
    if code in ABSENT:
        return absent
    if code in _BAD_CREDENTIALS:
        return "refused", f"it refuses the AWS credentials ({code}): sign in again"
    if code == "AccessDeniedException":
        return "unknown", f"these AWS credentials may not ask: allow {permissions}"
    return "unknown", f"it answers {code}: try again later"


def lifecycle(details: Mapping[str, Any], now: datetime) -> Said:
    """What GetFoundationModel's `modelDetails` say of the model's life."""
    said: Mapping[str, Any] = details.get("modelLifecycle", {})
    end: datetime | None = said.get("endOfLifeTime")
    if end is not None and end <= now:
        return "refused", f"retired on {end.date()}"
    if said.get("status") == "LEGACY":
        return "allowed", f"legacy: retires on {end.date() if end else 'a day not yet named'}"
    return "allowed", "active"


@dataclass(frozen=True)
class Asked:
    """The model that is to be called."""

    name: str
    """The name clients ask for."""
    host: str
    region: str
    """Where it is called."""
    model_id: str
    foundation: str
    """The foundation model's id."""
    destinations: tuple[str, ...]
    """Every region in which the plan expects a request to be processed."""
    accept_agreements: bool


@dataclass(frozen=True)
class Unanswered:
    """AWS answered with an error of this code."""

    code: str


Answer = Mapping[str, Any] | Unanswered

_WORST: Final[list[Outcome]] = ["refused", "unknown", "allowed"]


@dataclass(frozen=True)
class Answers:
    """What AWS answered, in the shapes of botocore's `bedrock` and `service-quotas`."""

    profile: Answer | None
    """GetInferenceProfile; None: the id is no profile's."""
    model: Answer
    """GetFoundationModel."""
    availability: Answer
    """GetFoundationModelAvailability."""
    offers: Answer | None
    """ListFoundationModelAgreementOffers; None: an agreement is in force, or none was asked about."""
    quotas: Sequence[Mapping[str, Any]] | Unanswered
    """ListServiceQuotas of `bedrock`, all pages."""


@dataclass(frozen=True)
class Access:
    """The verdict."""

    outcome: Outcome
    why: str
    """In words, the way out included."""
    sign: bool
    """Whether an agreement is to be signed before the model can be called."""


def access(asked: Asked, answers: Answers, now: datetime) -> Access:
    """The verdict on these answers."""
    said: tuple[Said, ...] = (
        *_of_profile(asked, answers.profile),
        _of_life(asked, answers.model, now),
        *_of_availability(asked, answers.availability, _offered(answers.offers)),
        *_of_agreement(asked, answers.availability, answers.offers),
        _of_quotas(asked, answers.model, answers.quotas),
    )
    outcome = _WORST[min(_WORST.index(each) for each, _ in said)]
    why = [why for each, why in said if each == outcome]
    return Access(outcome, "; ".join(dict.fromkeys(why)), outcome != "refused" and _offered(answers.offers))


def needs_agreement(availability: Answer) -> bool:
    """Whether it is to be asked if the model is offered under an agreement: none is in force."""
    return isinstance(availability, Mapping) and _agreement(availability) == "NOT_AVAILABLE"


def _of_profile(asked: Asked, profile: Answer | None) -> Iterator[Said]:
    if profile is None:
        return
    if isinstance(profile, Unanswered):
        absent: Said = ("refused", f"{asked.region} has no inference profile {asked.model_id}")
        yield failure(profile.code, "bedrock:GetInferenceProfile", absent=absent)
        return
    regions = {model["modelArn"].split(":")[3] for model in profile["models"]}
    if strange := sorted(regions - set(asked.destinations)):
        yield _refused(
            f"its profile sends requests to {', '.join(strange)} too, which the plan does not know of: list all of "
            f"{', '.join(sorted(regions))} under corral:hosts.{asked.host}.models.{asked.name}.reaches"
        )
    behind = {model["modelArn"].rpartition("/")[2] for model in profile["models"]}
    if behind != {asked.foundation}:
        yield _refused(
            f"behind {asked.model_id} is {', '.join(sorted(behind))}, not {asked.foundation}: correct the id"
        )


def _of_life(asked: Asked, model: Answer, now: datetime) -> Said:
    if isinstance(model, Unanswered):
        absent: Said = ("refused", f"{asked.region} has no model {asked.foundation}: choose another region or model")
        return failure(model.code, "bedrock:GetFoundationModel", absent=absent)
    details: Mapping[str, Any] = model["modelDetails"]
    if not is_profile(asked.model_id) and "ON_DEMAND" not in details.get("inferenceTypesSupported", ["ON_DEMAND"]):
        return "refused", f"{asked.region} takes no request by {asked.model_id}: use the id of an inference profile"
    outcome, why = lifecycle(details, now)
    return (outcome, f"{asked.foundation} {why}: use another model") if outcome == "refused" else (outcome, why)


def _of_availability(asked: Asked, availability: Answer, offered: bool) -> Iterator[Said]:
    """`offered`: under an agreement, of which an entitlement comes only once it is signed."""
    if isinstance(availability, Unanswered):
        absent: Said = ("unknown", f"{asked.region} does not tell whether {asked.foundation} is available")
        yield failure(availability.code, "bedrock:GetFoundationModelAvailability", absent=absent)
        return
    if availability["regionAvailability"] != "AVAILABLE":
        yield "refused", f"{asked.foundation} is not available in {asked.region}: call it in another region"
    if availability["entitlementAvailability"] != "AVAILABLE" and not offered:
        yield "refused", f"this account is not entitled to {asked.foundation}: ask AWS Support to enable it"
    if availability["authorizationStatus"] != "AUTHORIZED":
        yield _refused(
            f"this account may not call {asked.foundation}: look for a policy of IAM or of the organisation (SCP) that "
            "denies it"
        )


def _of_agreement(asked: Asked, availability: Answer, offers: Answer | None) -> Iterator[Said]:
    if isinstance(availability, Unanswered):
        return
    match _agreement(availability):
        case "PENDING":
            yield "unknown", f"the agreement on {asked.foundation} is still being made: run again in some minutes"
        case "ERROR":
            why = availability["agreementAvailability"].get("errorMessage", "AWS does not say why")
            yield "refused", f"the agreement on {asked.foundation} failed: {why}"
        case "NOT_AVAILABLE" if isinstance(offers, Unanswered):
            none: Said = ("allowed", "no agreement is needed")
            yield failure(offers.code, "bedrock:ListFoundationModelAgreementOffers", absent=none)
        case "NOT_AVAILABLE" if _offered(offers) and not asked.accept_agreements:
            yield _refused(
                f"{asked.foundation} is offered under an agreement that is not signed: read its terms (`aws bedrock "
                f"list-foundation-model-agreement-offers --model-id {asked.foundation}`), and set "
                f"corral:hosts.{asked.host}.acceptAgreements: true"
            )
        case _:
            return


def _of_quotas(asked: Asked, model: Answer, quotas: Sequence[Mapping[str, Any]] | Unanswered) -> Said:
    if isinstance(quotas, Unanswered):
        absent: Said = ("unknown", "Service Quotas knows no quotas of Bedrock here")
        return failure(quotas.code, "servicequotas:ListServiceQuotas", absent=absent)
    if isinstance(model, Unanswered):
        return "unknown", "which quotas it has is unknown without the model's name"
    found = {quota["QuotaName"]: quota["Value"] for quota in quotas if _counts(quota["QuotaName"], asked, model)}
    if empty := sorted(name for name, value in found.items() if value == 0):
        names = " and ".join(f"“{name}”" for name in empty)
        return _refused(
            f"the quota {names} of this account is 0 in {asked.region}: have it raised in Service Quotas, or through "
            "AWS Support where it is not adjustable"
        )
    if not found:
        return "unknown", f"Service Quotas lists no token quota of {asked.foundation} in {asked.region}"
    return "allowed", "its quotas are above 0"


def _counts(quota: str, asked: Asked, model: Mapping[str, Any]) -> bool:
    """Whether a quota of this name limits the calls: `Cross-region model inference tokens per minute for Meta …`."""
    what, _, whose = quota.lower().partition(" for ")
    details: Mapping[str, Any] = model["modelDetails"]
    name = str(details["modelName"]).lower()
    if whose.strip() not in (name, f"{details['providerName']} {name}".lower()):
        return False
    manner = "cross-region" if is_profile(asked.model_id) else "on-demand"
    return re.search(rf"^{manner} .*\btokens per minute$|\btokens per day$", what) is not None


def _refused(why: str) -> Said:
    return "refused", why


def _agreement(availability: Mapping[str, Any]) -> str:
    return availability["agreementAvailability"]["status"]


def _offered(offers: Answer | None) -> bool:
    return isinstance(offers, Mapping) and bool(offers["offers"])
