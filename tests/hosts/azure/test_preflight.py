"""What a provisioned Azure AI Foundry needs, held against a subscription: Azure's REST shapes on a small stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from corral.catalog.load import load_catalog
from corral.config.hosts import AzureHost
from corral.config.stack import Stack
from corral.hosts.azure import entra
from corral.hosts.azure.management import Manager, SignedIn, sign_in
from corral.hosts.azure.preflight import preconditions
from corral.hosts.probing import HostError, Judgement
from corral.plan.build import build

ID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER = "fedcba98-7654-3210-fedc-ba9876543210"
TOKEN = "NEVER-shown"
AT = f"/subscriptions/{ID}"
PROVIDER = f"{AT}/providers/Microsoft.CognitiveServices"
LLAMA, USAGE = "Llama-3.3-70B-Instruct", "AIServices.GlobalStandard.Llama-3.3-70B-Instruct"


def model(version: str = "4", sku: str = "GlobalStandard", **changes: Any) -> dict[str, Any]:
    described = {
        "format": "Meta",
        "name": LLAMA,
        "version": version,
        "isDefaultVersion": version == "4",
        "skus": [{"name": sku, "usageName": USAGE, "capacity": {"maximum": 1000, "default": 10}}],
        "lifecycleStatus": "GenerallyAvailable",
        "deprecation": {"inference": "2099-01-01T00:00:00Z"},
    }
    return {"kind": "AIServices", "skuName": "S0", "model": described | changes}


def usage(limit: float = 400, used: float = 0, name: str = USAGE) -> dict[str, Any]:
    value = {"value": name, "localizedValue": name}
    return {"name": value, "currentValue": used, "limit": limit, "unit": "Count"}


def several(*values: Any) -> dict[str, Any]:
    return {"value": [*values]}


GOOD: dict[str, Any] = {
    AT: {"id": AT, "subscriptionId": ID, "state": "Enabled"},
    PROVIDER: {"namespace": "Microsoft.CognitiveServices", "registrationState": "Registered"},
    f"{PROVIDER}/locations/eastus2/models": several(model("3"), model()),
    f"{PROVIDER}/locations/eastus2/usages": several(usage(name="OpenAI.GlobalStandard.gpt-4o"), usage()),
    f"{PROVIDER}/accounts": several(),
    f"{PROVIDER}/deletedAccounts": several(),
    f"{AT}/resourcegroups": several(),
}


class Azure(httpx.BaseTransport):
    """Resource Manager, which answers what a test says, to whoever has the token."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert (request.url.host, request.method) == ("management.azure.com", "GET")
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "api-version" in request.url.params
        answer = self.answers[request.url.path + ("?page=2" if "page" in request.url.params else "")]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def judged(
    answers: Mapping[str, Any] | None = None, accounts: Mapping[str, str] | None = None, **settings: Any
) -> dict[str, Judgement]:
    """By what is needed."""
    stack = Stack.model_validate(
        {
            "name": "prod",
            "engine": {"kind": "kubernetes"},
            "cluster": {"kubeconfig": "~/.kube/config"},
            "accounts": accounts or {},
            "hosts": {"azure": {"kind": "azure", "location": "eastus2", "capacity": {"llama-3.3-70b": 200}} | settings},
            "models": {"llama-3.3-70b": {"shares": {"azure": 100}}},
        }
    )
    host, targets = stack.hosts["azure"], build(stack, load_catalog()).at("azure")
    assert isinstance(host, AzureHost)
    manager = Manager(SignedIn(TOKEN, ID), Azure(GOOD | dict(answers or {})))
    each = [*preconditions("azure", host, targets, stack, manager)]
    assert TOKEN not in repr(each)
    return {one.subject: (one.outcome, one.why) for one in each}


QUOTA = f"quota of {LLAMA}"
PAGE = "ask for more on the Quota page of the Foundry portal (learn.microsoft.com/azure/foundry/how-to/quota)"


def test_a_subscription_with_all_that_the_host_takes_is_allowed():
    assert judged(accounts={"azure": ID}) == {
        "subscription": ("allowed", ID),
        "Microsoft.CognitiveServices": ("allowed", "registered"),
        LLAMA: ("allowed", "version 4 as GlobalStandard in eastus2, retires on 2099-01-01"),
        QUOTA: ("allowed", f"{USAGE} is 400 in eastus2, of which others leave 400, and 200 are wanted"),
        "deleted accounts": ("allowed", "none holds the name of the account"),
    }


def deployed(capacity: int) -> dict[str, Any]:
    """An account of the stack with a deployment, and one of somebody else."""
    own = f"{AT}/resourceGroups/azure-group1/providers/Microsoft.CognitiveServices/accounts/azure-group1"
    deployment = {"sku": {"name": "GlobalStandard", "capacity": capacity}, "properties": {"model": {"name": LLAMA}}}
    accounts = several(
        {"id": own, "name": "azure-group1", "location": "eastus2", "tags": {"corral-stack": "prod"}},
        {"id": f"{AT}/other", "name": "other", "location": "eastus2", "tags": None},
    )
    return {f"{PROVIDER}/accounts": accounts, f"{own}/deployments": several(deployment)}


def gone(name: str) -> dict[str, Any]:
    return several({"name": name, "id": f"{PROVIDER}/locations/eastus2/resourceGroups/g/deletedAccounts/{name}"})


GROUPS = {f"{AT}/resourcegroups": several({"name": "azure-group1"})}

CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, Judgement]] = [
    (
        "a subscription that is disabled",
        {AT: {"state": "Disabled"}},
        {},
        "subscription",
        ("refused", f"{ID} is Disabled: have it enabled"),
    ),
    (
        "a provider that is not registered",
        {PROVIDER: {"registrationState": "NotRegistered"}},
        {},
        "Microsoft.CognitiveServices",
        (
            "refused",
            "NotRegistered in the subscription: `az provider register --namespace Microsoft.CognitiveServices`",
        ),
    ),
    (
        "a model that the location does not sell",
        {f"{PROVIDER}/locations/eastus2/models": several(model(name="Llama-4-Scout"))},
        {},
        LLAMA,
        ("refused", "not sold in eastus2: choose another location, or another host for the model"),
    ),
    (
        "a version that it does not have",
        {},
        {"versions": {"llama-3.3-70b": "9"}},
        LLAMA,
        ("refused", "eastus2 has no version 9, but 3, 4"),
    ),
    (
        "a version that it has",
        {},
        {"versions": {"llama-3.3-70b": "3"}},
        LLAMA,
        ("allowed", "version 3 as GlobalStandard in eastus2, retires on 2099-01-01"),
    ),
    (
        "a SKU that it does not sell",
        {},
        {"sku": "GlobalProvisionedManaged"},
        LLAMA,
        ("refused", "eastus2 sells it as GlobalStandard, not as GlobalProvisionedManaged"),
    ),
    (
        "a model that is retired",
        {f"{PROVIDER}/locations/eastus2/models": several(model(deprecation={"inference": "2026-06-13T00:00:00Z"}))},
        {},
        LLAMA,
        ("refused", "retired on 2026-06-13: use another model"),
    ),
    (
        "more than a deployment may have",
        {},
        {"capacity": {"llama-3.3-70b": 2000}},
        LLAMA,
        ("refused", "a deployment has a capacity of 1000 at most, not 2000"),
    ),
    (
        "a quota of 0",
        {f"{PROVIDER}/locations/eastus2/usages": several(usage(0))},
        {},
        QUOTA,
        ("refused", f"{USAGE} is 0 in eastus2, of which others leave 0, and 200 are wanted: {PAGE}"),
    ),
    (
        "a quota that others use",
        {f"{PROVIDER}/locations/eastus2/usages": several(usage(400, 300))},
        {},
        QUOTA,
        ("refused", f"{USAGE} is 400 in eastus2, of which others leave 100, and 200 are wanted: {PAGE}"),
    ),
    (
        "a quota that the stack itself uses",
        {f"{PROVIDER}/locations/eastus2/usages": several(usage(400, 300)), **deployed(200)},
        {},
        QUOTA,
        ("allowed", f"{USAGE} is 400 in eastus2, of which others leave 300, and 200 are wanted"),
    ),
    (
        "a quota that is not listed",
        {f"{PROVIDER}/locations/eastus2/usages": several(usage(name="OpenAI.Standard.gpt-4o"))},
        {},
        QUOTA,
        ("unknown", "eastus2 lists no quota for it: `pulumi up` tells (InsufficientQuota)"),
    ),
    (
        "an account of the group's name that was deleted",
        {**GROUPS, f"{PROVIDER}/deletedAccounts": gone("azure-group1")},
        {},
        "deleted accounts",
        (
            "refused",
            (
                "azure-group1 was deleted and holds its name for 48 hours: `az cognitiveservices account purge "
                "--location eastus2 --resource-group azure-group1 --name azure-group1`"
            ),
        ),
    ),
    (
        "one that was made again since",
        {**GROUPS, f"{PROVIDER}/deletedAccounts": gone("azure-group1"), **deployed(0)},
        {},
        "deleted accounts",
        ("allowed", "none holds the name of the account"),
    ),
    (
        "one of another name",
        {**GROUPS, f"{PROVIDER}/deletedAccounts": gone("azure-group2")},
        {},
        "deleted accounts",
        ("allowed", "none holds the name of the account"),
    ),
    (
        "a permission that is missing",
        {
            f"{PROVIDER}/locations/eastus2/usages": httpx.Response(
                403,
                json={
                    "error": {
                        "code": "AuthorizationFailed",
                        "message": "The client 'x' does not have authorization to perform action "
                        "'Microsoft.CognitiveServices/locations/usages/read' over scope '/subscriptions/x'",
                    }
                },
            )
        },
        {},
        QUOTA,
        (
            "unknown",
            "these Azure credentials may not ask: allow Microsoft.CognitiveServices/locations/usages/read",
        ),
    ),
    (
        "trouble",
        {AT: httpx.Response(503)},
        {},
        "subscription",
        ("unknown", "Azure does not answer: see whether it is in reach from here"),
    ),
    (
        "a token that is over",
        {AT: httpx.Response(401)},
        {},
        "subscription",
        ("refused", "Azure refuses the token (HTTP 401): sign in again (az login)"),
    ),
    (
        "a location that Azure does not have",
        {f"{PROVIDER}/locations/eastus2/models": httpx.Response(400)},
        {},
        LLAMA,
        ("unknown", "Azure answers HTTP 400 to models"),
    ),
]


@pytest.mark.parametrize(
    ("answers", "settings", "subject", "want"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_of_what_the_host_takes_is_judged(
    answers: dict[str, Any], settings: dict[str, Any], subject: str, want: Judgement
):
    assert judged(answers, **settings)[subject] == want


def test_the_credentials_of_another_subscription_are_refused():
    assert judged(accounts={"azure": OTHER})["subscription"] == (
        "refused",
        (
            f"the credentials for Azure are those of the subscription {ID}, and the stack is for {OTHER} "
            "(corral:accounts.azure): take the right ones (`az account show`, or ARM_SUBSCRIPTION_ID, shows which they "
            "are)"
        ),
    )


def test_all_pages_are_read_and_none_elsewhere():
    path = f"{PROVIDER}/locations/eastus2/models"
    more = {"nextLink": f"https://management.azure.com{path}?page=2&api-version=2025-06-01"}
    evil = {"nextLink": "https://management.azure.com.example/steal?api-version=1"}
    pages = {path: several(model("3")) | more, f"{path}?page=2": several(model()) | evil}
    assert judged(pages, versions={"llama-3.3-70b": "4"})[LLAMA][0] == "allowed"


PRINCIPAL = {
    "ARM_CLIENT_ID": "client",
    "ARM_CLIENT_SECRET": "NEVER-secret",
    "ARM_TENANT_ID": "tenant",
    "ARM_SUBSCRIPTION_ID": ID,
}


def test_a_service_principal_signs_in_with_its_secret():
    def issue(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
        form = dict(httpx.QueryParams(request.content.decode()))
        assert form == {
            "grant_type": "client_credentials",
            "client_id": "client",
            "client_secret": "NEVER-secret",
            "scope": "https://management.azure.com/.default",
        }
        return httpx.Response(200, json={"access_token": TOKEN, "expires_in": 3599})

    assert sign_in(PRINCIPAL, httpx.MockTransport(issue)) == SignedIn(TOKEN, ID)
    with pytest.raises(HostError) as refused:
        sign_in(PRINCIPAL, httpx.MockTransport(lambda _: httpx.Response(401, text="NEVER-secret")))
    assert refused.value.judgement == (
        "refused",
        (
            "Azure gives the service principal no token (HTTP 401): correct ARM_CLIENT_ID, ARM_CLIENT_SECRET and "
            "ARM_TENANT_ID"
        ),
    )


def test_without_credentials_nothing_is_known(monkeypatch: pytest.MonkeyPatch):
    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(entra.subprocess, "run", absent)
    with pytest.raises(HostError) as unknown:
        sign_in({})
    assert unknown.value.judgement == (
        "unknown",
        (
            "there are no Azure credentials to ask with: sign in with the Azure CLI (az login), or set ARM_CLIENT_ID "
            "and what belongs to it"
        ),
    )


@pytest.mark.parametrize("stated", [{}, {"ARM_SUBSCRIPTION_ID": ID}], ids=["the CLI's", "that of the environment"])
def test_the_azure_cli_is_asked_for_its_token(monkeypatch: pytest.MonkeyPatch, stated: dict[str, str]):
    def az(command: list[str], **_: object) -> Any:
        of = f" --subscription {ID}" if stated else ""
        want = f"az account get-access-token --resource https://management.azure.com/{of} --output json"
        assert " ".join(command) == want
        out = f'{{"accessToken": "{TOKEN}", "subscription": "{ID}", "tenant": "t", "tokenType": "Bearer"}}'
        return entra.subprocess.CompletedProcess(command, 0, out, "")

    monkeypatch.setattr(entra.subprocess, "run", az)
    assert sign_in(stated) == SignedIn(TOKEN, ID)
    assert TOKEN not in repr(sign_in(stated))
