"""What would stop a deployment of a whole stack, and how its gateway is reached."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.gateway.preflight import preflight
from corral.hosts.probing import Judgement, Precondition
from corral.plan.build import build
from tests.cluster.test_preflight import GOOD
from tests.gateway.deployed import EXAMPLES
from tests.hosts.account import Answer, FakeAccount
from tests.hosts.azure.test_preflight import GOOD as GOOD_OF_AZURE
from tests.hosts.azure.test_preflight import LLAMA, PRINCIPAL, PROVIDER, TOKEN, USAGE, Azure, model, several, usage
from tests.hosts.bedrock import aws

ARN = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
END = datetime(2099, 3, 1, tzinfo=UTC)
HOSTNAME = "llm.example.com"

BEDROCK: dict[str, Answer] = {
    "get_caller_identity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/deployer"},
    "get_inference_profile": lambda params: aws.profile(model=params["inferenceProfileIdentifier"].removeprefix("us.")),
    "get_foundation_model": lambda params: aws.model(
        modelId=params["modelIdentifier"],
        modelName="Llama 3.3 70B Instruct"
        if "llama3-3" in params["modelIdentifier"]
        else "Llama 4 Maverick 17B Instruct",
    ),
    "get_foundation_model_availability": aws.availability(),
    "list_service_quotas": {
        "Quotas": [aws.quota(), aws.quota(aws.PER_MINUTE.replace("3.3 70B Instruct", "4 Maverick V1"))]
    },
}
MAVERICK = "Llama-4-Maverick-17B-128E-Instruct-FP8"
AZURE = GOOD_OF_AZURE | {
    f"{PROVIDER}/locations/eastus2/models": several(
        model(),
        model(name=MAVERICK, skus=[{"name": "GlobalStandard", "usageName": USAGE.replace(LLAMA, MAVERICK)}]),
    ),
    f"{PROVIDER}/locations/eastus2/usages": several(usage(), usage(name=USAGE.replace(LLAMA, MAVERICK))),
}


class Internet(httpx.BaseTransport):
    """Azure, its sign-in, and Hugging Face."""

    def __init__(self) -> None:
        self.azure = Azure(AZURE)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        match request.url.host:
            case "management.azure.com":
                return self.azure.handle_request(request)
            case "login.microsoftonline.com":
                return httpx.Response(200, json={"access_token": TOKEN})
            case "huggingface.co":
                return httpx.Response(307)
            case host:
                raise AssertionError(host)


KEYS = "  corral:keys: {deepinfra: {secure: v1:x}, together: {secure: v1:x}}\n"


def checked(
    folder: Path, more: str = KEYS, answers: dict[str, Answer] | None = None, gateway: str = ""
) -> list[Precondition]:
    """Those of the stack prod of the examples, with what else its file is to say."""
    file, example = folder / "Pulumi.prod.yaml", (EXAMPLES / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    file.write_text(example.replace("corral:gateway:\n", f"corral:gateway:\n{gateway}") + more)
    catalog = load_catalog()
    stack = read_stack(file, catalog)
    with pytest.MonkeyPatch.context() as patch:
        FakeAccount(GOOD | BEDROCK | (answers or {})).installed(patch)
        return preflight(stack, build(stack, catalog), PRINCIPAL, Internet())


def test_all_that_a_stack_takes_is_asked_for_once_and_nothing_else(tmp_path: Path):
    there = checked(tmp_path)
    assert [(each.part, each.subject) for each in there] == [
        ("AWS", "caller"),
        ("azure", "subscription"),
        ("azure", "Microsoft.CognitiveServices"),
        ("azure", LLAMA),
        ("azure", f"quota of {LLAMA}"),
        ("azure", MAVERICK),
        ("azure", f"quota of {MAVERICK}"),
        ("azure", "deleted accounts"),
        ("bedrock", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("bedrock", "us.meta.llama4-maverick-17b-instruct-v1:0"),
        ("vllm", "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"),
        ("cluster", "Kubernetes 1.35"),
        ("cluster", "zones"),
        ("cluster", "VPC"),
        ("cluster", "elastic IPs"),
        ("cluster", "log group"),
        ("cluster", "vCPUs of the Envoys"),
        ("vllm", "g6e.12xlarge in the zones"),
        ("vllm", "vCPUs, on demand"),
    ]
    assert [each for each in there if each.outcome != "allowed"] == []


def test_the_credentials_of_another_account_are_refused(tmp_path: Path):
    (caller, *_) = checked(tmp_path, KEYS + '  corral:accounts: {aws: "210987654321"}\n')
    assert caller == Precondition(
        "AWS",
        "caller",
        "refused",
        "the credentials for AWS are those of the account 123456789012, and the stack is for 210987654321 "
        "(corral:accounts.aws): take the right ones (`aws sts get-caller-identity` shows which they are)",
    )


def test_keys_that_the_stack_lacks_are_refused(tmp_path: Path):
    first, second, *_ = checked(tmp_path, "")
    assert [(each.part, each.subject, each.outcome) for each in (first, second)] == [
        ("deepinfra", "key", "refused"),
        ("together", "key", "refused"),
    ]


def certificate(**changes: Any) -> dict[str, Any]:
    described = {"CertificateArn": ARN, "DomainName": HOSTNAME, "Status": "ISSUED", "NotAfter": END}
    return {"Certificate": described | changes}


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (certificate(), ("allowed", "issued, until 2099-03-01")),
        (
            certificate(DomainName="example.com", SubjectAlternativeNames=["*.example.com"]),
            ("allowed", "issued, until 2099-03-01"),
        ),
        (
            certificate(Status="PENDING_VALIDATION"),
            ("refused", "it is pending validation: have it validated, or issued anew"),
        ),
        (
            certificate(NotAfter=datetime(2026, 1, 1, tzinfo=UTC)),
            ("refused", "it ended on 2026-01-01: have it renewed"),
        ),
        (
            certificate(DomainName="other.example.com"),
            ("refused", f"it is for other.example.com, not for {HOSTNAME}: name one for that"),
        ),
        (
            "ResourceNotFoundException",
            ("refused", "us-east-1 has no such certificate: correct corral:gateway.certificate"),
        ),
        ("AccessDeniedException", ("unknown", "these AWS credentials may not ask: allow acm:DescribeCertificate")),
    ],
    ids=["issued", "of the domain", "not validated", "over", "of another name", "absent", "denied"],
)
def test_the_certificate_is_held_against_the_name_and_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, want: Judgement
):
    def absent(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", absent)
    gateway = f'    hostname: {HOSTNAME}\n    certificate: {{acm: "{ARN}"}}\n'
    there = checked(tmp_path, answers={"describe_certificate": answer}, gateway=gateway)
    assert there[-2:] == [
        Precondition(
            "gateway",
            HOSTNAME,
            "unknown",
            "not in DNS yet: point it at the load balancer once that is there (pulumi stack output url), or let "
            "external-dns do it",
        ),
        Precondition("gateway", "certificate", *want),
    ]


def test_a_certificate_of_another_region_is_refused_unasked(tmp_path: Path):
    gateway = f'    certificate: {{acm: "{ARN.replace("us-east-1", "eu-west-1")}"}}\n'
    assert checked(tmp_path, gateway=gateway)[-1] == Precondition(
        "gateway",
        "certificate",
        "refused",
        "it is in eu-west-1, and the load balancer in us-east-1: name one of us-east-1",
    )


def test_a_name_in_dns_and_an_issuer_of_the_cluster_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    there: Any = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: there)
    gateway = f"    hostname: {HOSTNAME}\n    certificate: {{issuer: letsencrypt}}\n"
    assert checked(tmp_path, gateway=gateway)[-2:] == [
        Precondition("gateway", HOSTNAME, "allowed", "in DNS as 203.0.113.7: it is to lead to the load balancer"),
        Precondition("gateway", "certificate", "unknown", "the cluster says: `kubectl get clusterissuer letsencrypt`"),
    ]


def zone(name: str = "example.com.", *, private: bool = False) -> dict[str, Any]:
    id_ = "/hostedzone/Z0123456789ABCDEFGHIJ"
    return {"HostedZone": {"Id": id_, "Name": name, "CallerReference": "1", "Config": {"PrivateZone": private}}}


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (zone(), ("allowed", f"example.com, in which {HOSTNAME} gets its record")),
        (zone(f"{HOSTNAME}."), ("allowed", f"{HOSTNAME}, in which {HOSTNAME} gets its record")),
        (zone("le.com."), ("refused", f"it is le.com, in which {HOSTNAME} does not lie: correct one of the two")),
        (
            zone(private=True),
            ("refused", "example.com is a private zone, in which ACM validates nothing: name a public one"),
        ),
        ("NoSuchHostedZone", ("refused", "this account has no such zone: correct corral:gateway.certificate")),
    ],
    ids=["its domain", "the name itself", "another domain", "a private zone", "no such zone"],
)
def test_a_zone_is_one_in_which_the_name_lies_and_acm_can_validate(tmp_path: Path, answer: Answer, want: Judgement):
    keys = f"    hostname: {HOSTNAME}\n    certificate: {{hostedZone: Z0123456789ABCDEFGHIJ}}\n"
    there = checked(tmp_path, answers={"get_hosted_zone": answer}, gateway=keys)
    (judged,) = [each for each in there if each.subject == "Z0123456789ABCDEFGHIJ"]
    assert (judged.outcome, judged.why) == want
