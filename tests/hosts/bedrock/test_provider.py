import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider

from corral.hosts import aws as hosts_aws
from corral.hosts.bedrock import probe
from corral.hosts.bedrock.provider import ModelAccessProvider
from tests.hosts.bedrock import aws

REQUEST: dict[str, Any] = {
    "name": "llama-3.3-70b",
    "host": "bedrock",
    "region": "us-east-1",
    "modelId": aws.PROFILE,
    "foundation": aws.MODEL,
    "destinations": list(aws.REGIONS),
    "acceptAgreements": False,
}
WHY = f"active; its quotas are above 0: “{aws.PER_MINUTE}” 600,000 (L-0E7AA8B7)"
ALLOWED = REQUEST | {"outcome": "allowed", "why": WHY, "sign": False}
NO_CREDENTIALS = REQUEST | {
    "outcome": "unknown",
    "why": "there are no AWS credentials to ask with: sign in",
    "sign": False,
}


@dataclass(frozen=True)
class Aws:
    bedrock: Stubber
    quotas: Stubber

    def says(self, agreement: str = "AVAILABLE", *, quota: float = 600_000, offers: tuple[str, ...] = ()) -> None:
        self.bedrock.add_response("get_inference_profile", aws.profile(), {"inferenceProfileIdentifier": aws.PROFILE})
        self.bedrock.add_response(
            "get_foundation_model_availability", aws.availability(agreement), {"modelId": aws.MODEL}
        )
        self.bedrock.add_response("get_foundation_model", aws.model(), {"modelIdentifier": aws.MODEL})
        if agreement == "NOT_AVAILABLE":
            self.offers(*offers)
        first = {"Quotas": [aws.quota("Something else", 0)], "NextToken": "more"}
        self.quotas.add_response("list_service_quotas", first, {"ServiceCode": "bedrock"})
        rest = {"Quotas": [aws.quota(value=quota)]}
        self.quotas.add_response("list_service_quotas", rest, {"ServiceCode": "bedrock", "NextToken": "more"})
        if not quota:
            usual, named = {"Quota": aws.quota()}, {"ServiceCode": "bedrock", "QuotaCode": "L-0E7AA8B7"}
            self.quotas.add_response("get_aws_default_service_quota", usual, named)

    def offers(self, *tokens: str) -> None:
        self.bedrock.add_response(
            "list_foundation_model_agreement_offers",
            aws.offers(*tokens),
            {"modelId": aws.MODEL, "offerType": "PUBLIC"},
        )


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """AWS, which is asked exactly what a test says, all of it and nothing else."""
    with aws.stubbed("bedrock") as bedrock, aws.stubbed("service-quotas") as quotas:
        clients = {"bedrock": bedrock.client, "service-quotas": quotas.client}
        for module in (probe, hosts_aws):
            monkeypatch.setattr(module, "client", lambda service, *_: clients[service])
        probe.applied_quotas.cache_clear()
        yield Aws(bedrock, quotas)
        probe.applied_quotas.cache_clear()
        bedrock.assert_no_pending_responses()
        quotas.assert_no_pending_responses()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No AWS credentials."""
    monkeypatch.setattr(probe, "client", lambda *_: None)


def checked(olds: dict[str, Any], news: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    result = ModelAccessProvider().check(olds, dict(news))
    return result.inputs, [(failure.property, failure.reason) for failure in result.failures]


def test_a_new_model_is_asked_for(account: Aws):
    account.says()
    assert checked({}, REQUEST) == (ALLOWED, [])


def test_a_model_that_was_allowed_is_not_asked_for_again(account: Aws):
    del account
    assert checked(ALLOWED, REQUEST) == (ALLOWED, [])


def test_a_model_of_which_something_else_is_asked_is_asked_for_again(account: Aws):
    account.says()
    signing = {"acceptAgreements": True}
    assert checked(ALLOWED, REQUEST | signing) == (ALLOWED | signing, [])


def test_a_model_that_was_refused_is_asked_for_again(account: Aws):
    account.says()
    assert checked(ALLOWED | {"outcome": "refused", "why": "retired"}, REQUEST) == (ALLOWED, [])


def test_a_refusal_is_an_output_with_the_way_out_and_ends_no_preview(account: Aws):
    account.says(quota=0)
    why = (
        f"the quota “{aws.PER_MINUTE}” of this account is 0 in us-east-1: ask for AWS's default, `aws service-quotas "
        "request-service-quota-increase --service-code bedrock --quota-code L-0E7AA8B7 --desired-value 600000 --region "
        "us-east-1`"
    )
    assert checked({}, REQUEST) == (REQUEST | {"outcome": "refused", "why": why, "sign": False}, [])


@pytest.mark.usefixtures("nobody")
def test_without_credentials_nothing_is_asked_and_nothing_fails():
    assert checked({}, REQUEST) == (NO_CREDENTIALS, [])


def test_aws_out_of_reach_is_unknown(monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://bedrock.us-east-1.amazonaws.com")

    monkeypatch.setattr(probe, "client", unreachable)
    why = "Bedrock cannot be asked (EndpointConnectionError): try again later"
    assert checked({}, REQUEST) == (REQUEST | {"outcome": "unknown", "why": why, "sign": False}, [])


def test_the_quotas_of_a_region_are_listed_once_for_all_its_models(account: Aws):
    account.says()
    checked({}, REQUEST)
    account.bedrock.add_response("get_inference_profile", aws.profile())
    account.bedrock.add_response("get_foundation_model_availability", aws.availability())
    account.bedrock.add_response("get_foundation_model", aws.model())
    assert checked({}, REQUEST) == (ALLOWED, [])


def test_creating_what_needs_no_agreement_asks_nothing(account: Aws):
    del account
    created = ModelAccessProvider().create(dict(ALLOWED))
    assert (created.id, created.outs) == (f"us-east-1/{aws.PROFILE}", ALLOWED)


def test_an_agreement_is_signed_on_creation_and_in_no_preview(account: Aws):
    account.says("NOT_AVAILABLE", offers=("token",))
    inputs, failures = checked({}, REQUEST | {"acceptAgreements": True})
    assert (inputs["sign"], failures) == (True, [])
    account.offers("fresh-token")
    account.bedrock.add_response(
        "create_foundation_model_agreement",
        {"modelId": aws.MODEL},
        {"modelId": aws.MODEL, "offerToken": "fresh-token"},
    )
    assert ModelAccessProvider().create(dict(inputs)).outs == inputs


def test_a_refresh_asks_again_and_keeps_what_it_finds(account: Aws):
    account.says(quota=0)
    read = ModelAccessProvider().read("id", dict(ALLOWED))
    assert (read.id, read.outs, read.inputs) == ("id", read.inputs, read.outs)
    assert read.outs is not None
    assert read.outs["outcome"] == "refused"


@pytest.mark.parametrize(
    ("changed", "want"),
    [
        ({}, (False, [])),
        ({"why": "legacy: retires on 2027-03-01"}, (True, [])),
        ({"destinations": ["us-east-1"]}, (True, [])),
        ({"modelId": aws.MODEL}, (True, ["modelId"])),
        ({"region": "us-west-2"}, (True, ["region"])),
        ({PROVIDER_KEY: "of another module"}, (True, [])),
    ],
    ids=str,
)
def test_what_changed_is_updated_and_another_model_is_another_resource(changed: dict[str, Any], want: object):
    diff = ModelAccessProvider().diff("id", dict(ALLOWED), ALLOWED | changed)
    assert (diff.changes, diff.replaces) == want


def test_the_state_holds_the_name_of_the_provider_and_nothing_else():
    pickled = base64.b64decode(serialize_provider(ModelAccessProvider()))
    assert b"corral.hosts.bedrock.provider" in pickled
    assert len(pickled) < 200
    assert ModelAccessProvider.serialize_as_secret_always is False
