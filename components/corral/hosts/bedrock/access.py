"""May this account call this model from this region?  Judges Bedrock's and Service Quotas' responses; calls nothing.

Policy.  Five things are judged, each for itself: the inference profile and where it sends requests, the model's life,
its availability, the agreement it may be offered under, and the token quotas.  One refused is refused; else one unknown
is unknown; else allowed.  What could not be asked is unknown, and says which permission would let it be asked.

- A profile that sends requests to a region which the plan does not know is refused: the permissions that are written
  for the gateway would not cover it, and no residency would have been proved for it.
- Llama is sold without an agreement.  A model for which AWS has no agreement in force (NOT_AVAILABLE) needs one only
  where AWS offers one; it is signed where the stack says so.
- A new account can have an applied quota of 0 although the model is available to it: every call is then throttled.
  Quotas are found by their names, of which AWS has used several spellings; codes are not documented.  What counts is
  tokens per minute (cross-region through a profile, on-demand without one) and tokens per day, the model's and those of
  all models; AWS no longer enforces requests per minute.  Source: docs.aws.amazon.com/bedrock, quotas-runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from corral.catalog.units import Strict
from corral.hosts.aws import ErrorCode, increase, judge_error
from corral.hosts.probing import Judgement, Outcome
from corral.plan.checks.hosts import unpermitted
from corral.plan.plan import Target

_PROFILE = re.compile(r"[a-z-]+\.[a-z0-9]+\..+|arn:.+inference-profile/.+")

_WORST: Final[list[Outcome]] = ["refused", "unknown", "allowed"]


def is_profile(model_id: str) -> bool:
    """Whether the id is that of an inference profile: one with `us.` and the like in front, or an ARN that says so."""
    return _PROFILE.fullmatch(model_id) is not None


class BedrockModel(Strict):
    """One model as this account calls it from one region; by its camelCase keys, what the state keeps of it."""

    name: str
    """The name clients ask for."""
    host: str
    region: str
    """Where it is called."""
    model_id: str
    """What is called: a foundation model's id, an inference profile's, or a profile's ARN."""
    foundation: str
    """The foundation model's id."""
    destinations: list[str]
    """Every region in which the plan expects a request to be processed, in order of name; empty: it does not say."""
    accept_agreements: bool

    @classmethod
    def of(cls, name: str, target: Target, *, accept_agreements: bool) -> BedrockModel:
        """A model so exactly that permissions can be written for it, and no wider ones than it takes.

        Raises ValueError where the checks refuse the plan.
        """
        unknown = unpermitted(name, target)
        if unknown or target.region is None or target.base_model is None:
            raise ValueError(f"the plan of {name} at {target.host} is refused: {unknown}")
        return cls(
            name=name,
            host=target.host,
            region=target.region,
            model_id=target.model_id,
            foundation=target.base_model,
            destinations=list(target.reaches or ()),
            accept_agreements=accept_agreements,
        )


Response = Mapping[str, Any] | ErrorCode


@dataclass(frozen=True)
class Responses:
    """What AWS answers, in the shapes of botocore, to GetInferenceProfile (None: the id is no profile's),
    GetFoundationModel, GetFoundationModelAvailability, ListFoundationModelAgreementOffers (None: an agreement is in
    force, or none was asked about) and ListServiceQuotas of `bedrock`, all pages.
    """

    profile: Response | None
    model: Response
    availability: Response
    offers: Response | None
    quotas: Sequence[Mapping[str, Any]] | ErrorCode
    defaults: Mapping[str, float] = field(default_factory=dict[str, float])
    """By code what AWS gives an account of quotas that are 0 here, as far as it says so."""


@dataclass(frozen=True)
class Access:
    """The verdict."""

    outcome: Outcome
    why: str
    """In words, the way out included."""
    sign: bool
    """Whether an agreement is to be signed before the model can be called."""


def judge(model: BedrockModel, responses: Responses, now: datetime) -> Access:
    """The verdict on these responses."""
    offered = _is_offered(responses.offers)
    outcome, why = _worst(
        *_profile(model, responses.profile),
        _life(model, responses.model, now),
        *_availability(model, responses.availability, offered),
        *_agreement(model, responses.availability, responses.offers),
        _quotas(model, responses),
    )
    return Access(outcome, why, sign=outcome != "refused" and offered)


def judge_serving(model: BedrockModel, profile: Response | None, details: Response | None, now: datetime) -> Judgement:
    """Of all that only whether its region serves it as the plan has it: its profile, and its life where it was asked
    for."""
    return _worst(*_profile(model, profile), *([_life(model, details, now)] if details else []))


def _worst(*judgements: Judgement) -> Judgement:
    outcome = _WORST[min(_WORST.index(each) for each, _ in judgements)]
    reasons = [why for each, why in judgements if each == outcome]
    return outcome, "; ".join(dict.fromkeys(reasons))


def judge_lifecycle(details: Mapping[str, Any], now: datetime) -> Judgement:
    """What GetFoundationModel's `modelDetails` say of the model's life."""
    lifecycle: Mapping[str, Any] = details.get("modelLifecycle", {})
    end: datetime | None = lifecycle.get("endOfLifeTime")
    if end is not None and end <= now:
        return "refused", f"retired on {end.date()}"
    if lifecycle.get("status") == "LEGACY":
        return "allowed", f"legacy: retires on {end.date() if end else 'a day not yet named'}"
    return "allowed", "active"


def takes_plain_id(details: Mapping[str, Any]) -> bool:
    """Whether the model of these `modelDetails` is called by its own id, without a profile."""
    return "ON_DEMAND" in details.get("inferenceTypesSupported", ["ON_DEMAND"])


def needs_agreement(availability: Response) -> bool:
    """Whether it is to be asked if the model is offered under an agreement: none is in force."""
    return isinstance(availability, Mapping) and availability["agreementAvailability"]["status"] == "NOT_AVAILABLE"


def _profile(model: BedrockModel, profile: Response | None) -> Iterator[Judgement]:
    if profile is None:
        return
    if isinstance(profile, ErrorCode):
        absent: Judgement = ("refused", f"{model.region} has no inference profile {model.model_id}")
        yield judge_error(profile.code, "bedrock:GetInferenceProfile", absent=absent)
        return
    regions = {each["modelArn"].split(":")[3] for each in profile["models"]}
    if strange := sorted(regions - {*model.destinations} if model.destinations else ()):
        way_out = (
            f"list all of {', '.join(sorted(regions))} under corral:hosts.{model.host}.models.{model.name}.reaches"
        )
        strangers = ", ".join(strange)
        yield "refused", f"its profile sends requests to {strangers} too, which the plan does not know of: {way_out}"
    behind = {each["modelArn"].rpartition("/")[2] for each in profile["models"]}
    if behind != {model.foundation}:
        names = ", ".join(sorted(behind))
        yield "refused", f"behind {model.model_id} is {names}, not {model.foundation}: correct the id"


def _life(model: BedrockModel, response: Response, now: datetime) -> Judgement:
    if isinstance(response, ErrorCode):
        way_out = "choose another region or model"
        absent: Judgement = "refused", f"{model.region} has no model {model.foundation}: {way_out}"
        if is_profile(model.model_id):  # a profile may be called from where its model is not
            absent = "unknown", f"{model.region} knows nothing of {model.foundation}, which the profile calls elsewhere"
        return judge_error(response.code, "bedrock:GetFoundationModel", absent=absent)
    details: Mapping[str, Any] = response["modelDetails"]
    if not is_profile(model.model_id) and not takes_plain_id(details):
        return "refused", f"{model.region} takes no request by {model.model_id}: use the id of an inference profile"
    outcome, why = judge_lifecycle(details, now)
    return (outcome, f"{model.foundation} {why}: use another model") if outcome == "refused" else (outcome, why)


def _availability(model: BedrockModel, response: Response, offered: bool) -> Iterator[Judgement]:
    """`offered`: under an agreement, of which an entitlement comes only once it is signed."""
    foundation, region = model.foundation, model.region
    if isinstance(response, ErrorCode):
        absent: Judgement = ("unknown", f"{region} does not tell whether {foundation} is available")
        yield judge_error(response.code, "bedrock:GetFoundationModelAvailability", absent=absent)
        return
    if response["regionAvailability"] != "AVAILABLE":
        yield "refused", f"{foundation} is not available in {region}: call it in another region"
    if response["entitlementAvailability"] != "AVAILABLE" and not offered:
        yield "refused", f"this account is not entitled to {foundation}: ask AWS Support to enable it"
    if response["authorizationStatus"] != "AUTHORIZED":
        way_out = "look for a policy of IAM or of the organisation (SCP) that denies it"
        yield "refused", f"this account may not call {foundation}: {way_out}"


def _agreement(model: BedrockModel, availability: Response, offers: Response | None) -> Iterator[Judgement]:
    if isinstance(availability, ErrorCode):
        return
    foundation, agreement = model.foundation, availability["agreementAvailability"]
    match agreement["status"]:
        case "PENDING":
            yield "unknown", f"the agreement on {foundation} is still being made: run again in some minutes"
        case "ERROR":
            why = agreement.get("errorMessage", "AWS does not say why")
            yield "refused", f"the agreement on {foundation} failed: {why}"
        case "NOT_AVAILABLE" if isinstance(offers, ErrorCode):
            none: Judgement = ("allowed", "no agreement is needed")
            yield judge_error(offers.code, "bedrock:ListFoundationModelAgreementOffers", absent=none)
        case "NOT_AVAILABLE" if _is_offered(offers) and not model.accept_agreements:
            command = f"`aws bedrock list-foundation-model-agreement-offers --model-id {foundation}`"
            way_out = f"read its terms ({command}), and set corral:hosts.{model.host}.acceptAgreements: true"
            yield "refused", f"{foundation} is offered under an agreement that is not signed: {way_out}"
        case _:
            return


def _quotas(model: BedrockModel, responses: Responses) -> Judgement:
    details, quotas = responses.model, responses.quotas
    if isinstance(quotas, ErrorCode):
        absent: Judgement = ("unknown", "Service Quotas knows no quotas of Bedrock here")
        return judge_error(quotas.code, "servicequotas:ListServiceQuotas", absent=absent)
    if isinstance(details, ErrorCode):
        return "unknown", "which quotas it has is unknown without the model's name"
    counting = counting_quotas(model, details, quotas)
    if empty := [quota for quota in counting if quota["Value"] == 0]:
        names = " and ".join(f"“{quota['QuotaName']}”" for quota in empty)
        ways_out = dict.fromkeys(_raised(quota, responses.defaults, model.region) for quota in empty)
        return "refused", f"the quota {names} of this account is 0 in {model.region}: {', '.join(ways_out)}"
    if not counting:
        return "unknown", f"Service Quotas lists no token quota of {model.foundation} in {model.region}"
    values = ", ".join(f"“{quota['QuotaName']}” {quota['Value']:,.0f} ({quota['QuotaCode']})" for quota in counting)
    return "allowed", f"its quotas are above 0: {values}"


def counting_quotas(
    model: BedrockModel, details: Mapping[str, Any], quotas: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the region's quotas that limit calls of the model, in order of name."""
    profile = is_profile(model.model_id)
    counting = [quota for quota in quotas if _counts(quota["QuotaName"], details["modelDetails"], profile=profile)]
    return sorted(counting, key=lambda quota: quota["QuotaName"])


def _raised(quota: Mapping[str, Any], defaults: Mapping[str, float], region: str) -> str:
    usual = defaults.get(quota["QuotaCode"])
    if not quota["Adjustable"] or not usual:
        return "have it raised in Service Quotas, or through AWS Support where it is not adjustable"
    return f"ask for AWS's default, {increase('bedrock', quota['QuotaCode'], usual, region)}"


_OF_ALL_MODELS = "cross-model max tokens per day"

_UNSAID = re.compile(r"instruct|[0-9]+b")
"""Words of a model's name that a quota's may leave out: `Llama 4 Maverick 17B Instruct` has … `Maverick V1`."""


def _counts(quota: str, details: Mapping[str, Any], *, profile: bool) -> bool:
    """Whether a quota of this name limits the calls: `Cross-region model inference tokens per minute for Meta …`."""
    if quota.lower() == _OF_ALL_MODELS:
        return True
    what, _, whose = quota.lower().partition(" for ")
    of_quota = {*whose.split()} - {str(details["providerName"]).lower(), "v1"}
    of_model = {*str(details["modelName"]).lower().split()}
    if not of_quota or of_quota - of_model or not all(map(_UNSAID.fullmatch, of_model - of_quota)):
        return False
    manner = "cross-region" if profile else "on-demand"
    return re.search(rf"^{manner} .*\btokens per minute$|\btokens per day$", what) is not None


def _is_offered(offers: Response | None) -> bool:
    return isinstance(offers, Mapping) and bool(offers["offers"])
