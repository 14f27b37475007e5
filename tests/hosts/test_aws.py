"""How AWS is read: whole answers, and verdicts for whatever keeps it from answering."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError, UnauthorizedSSOTokenError

from corral.hosts.aws import Account, increase
from corral.hosts.probing import HostError, Judgement
from tests.hosts.account import Answer, FakeAccount, quota

OUT_OF_REACH = EndpointConnectionError(endpoint_url="https://ec2.us-east-1.amazonaws.com")


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        ("UnauthorizedOperation", ("unknown", "these AWS credentials may not ask: allow ec2:DescribeVpcs")),
        ("AuthFailure", ("refused", "it refuses the AWS credentials (AuthFailure): sign in again")),
        ("RequestLimitExceeded", ("unknown", "it answers RequestLimitExceeded: try again later")),
        (
            UnauthorizedSSOTokenError(),
            ("unknown", "AWS cannot be asked (UnauthorizedSSOTokenError): sign in again (aws sso login)"),
        ),
        (
            OUT_OF_REACH,
            ("unknown", "AWS cannot be asked (EndpointConnectionError): see whether it is in reach from here"),
        ),
    ],
    ids=["denied", "bad credentials", "throttled", "signed out", "out of reach"],
)
def test_what_aws_does_not_answer_is_a_verdict(monkeypatch: pytest.MonkeyPatch, answer: Answer, want: Judgement):
    FakeAccount({"describe_vpcs": answer}).installed(monkeypatch)
    with pytest.raises(HostError) as raised:
        Account("us-east-1").read("ec2", "describe_vpcs")
    assert raised.value.judgement == want


def test_without_credentials_nothing_is_known():
    with pytest.raises(HostError) as raised:
        Account("us-east-1").read("ec2", "describe_vpcs")
    assert raised.value.judgement == ("unknown", "there are no AWS credentials to ask with: sign in")


def test_a_service_out_of_reach_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    fake = FakeAccount({"describe_vpcs": OUT_OF_REACH, "describe_addresses": {"Addresses": []}}).installed(monkeypatch)
    account = Account("us-east-1")
    for operation in ("describe_vpcs", "describe_addresses"):
        with pytest.raises(HostError):
            account.read("ec2", operation)
    assert fake.actions == ["ec2:DescribeVpcs"]


def test_an_answer_has_all_its_pages_and_what_is_absent_is_none(monkeypatch: pytest.MonkeyPatch):
    pages = {None: {"Vpcs": [{"VpcId": "vpc-1"}], "NextToken": "more"}, "more": {"Vpcs": [{"VpcId": "vpc-2"}]}}
    FakeAccount(
        {
            "describe_vpcs": lambda params: pages[params.get("NextToken")],
            "describe_subnets": "InvalidSubnetID.NotFound",
        }
    ).installed(monkeypatch)
    account = Account("us-east-1")
    assert account.read("ec2", "describe_vpcs") == {"Vpcs": [{"VpcId": "vpc-1"}, {"VpcId": "vpc-2"}]}
    assert account.read("ec2", "describe_subnets", ("InvalidSubnetID.NotFound",), SubnetIds=["subnet-1"]) is None


@pytest.mark.parametrize(
    ("applied", "default", "want"),
    [
        (quota("vpc", "L-1", 7), "NoSuchResourceException", 7),
        ("NoSuchResourceException", quota("vpc", "L-1", 5), 5),
        ("NoSuchResourceException", "NoSuchResourceException", None),
    ],
    ids=["the account has its own", "the account has AWS's default", "there is none"],
)
def test_a_quota_is_the_accounts_own_or_the_default(
    monkeypatch: pytest.MonkeyPatch, applied: Answer, default: Answer, want: float | None
):
    FakeAccount({"get_service_quota": applied, "get_aws_default_service_quota": default}).installed(monkeypatch)
    assert Account("us-east-1").quota("vpc", "L-1") == want


def test_a_request_for_more_is_a_command_of_the_cli():
    assert increase("ec2", "L-DB2E81BA", 192.0, "us-east-1") == (
        "`aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-DB2E81BA "
        "--desired-value 192 --region us-east-1`"
    )
