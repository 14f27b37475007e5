import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from corral.hosts.probing import HostError, Verdict
from corral.hosts.verify import signed_in, verify
from corral.plan.plan import Credential, ModelPlan, Plan, RequestSettings, Target

NO_KEY_WANTED = Credential(None, ambient=False, variable=None)
AZURE_KEY = Credential("api-key", ambient=False, variable="AZURE_OPENAI_API_KEY")
AWS = Credential(None, ambient=True, variable="AWS_BEARER_TOKEN_BEDROCK")


def _plan(**models: list[Target]) -> Plan:
    return Plan(
        stack="test",
        engine="local",
        models=tuple(ModelPlan(name, tuple(targets), (), None, None, None) for name, targets in models.items()),
        request_settings=RequestSettings(1, 1, 1, 1, 1),
        accept=(),
    )


class World(httpx.BaseTransport):
    """All hosts there are: per URL the ids it lists, and what was asked of whom with which key."""

    def __init__(self, **responses: Any) -> None:
        self.responses = responses
        self.requests: set[tuple[str, str | None, str | None]] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.add((str(request.url), request.headers.get("authorization"), request.headers.get("api-key")))
        answer = self.responses[request.url.host.partition(".")[0]]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def _lists(*ids: str) -> dict[str, Any]:
    return {"data": [{"id": id_} for id_ in ids]}


def test_every_target_of_a_plan_gets_its_verdict_in_the_plans_order(target: Callable[..., Target]):
    plan = _plan(
        first=[
            target(host="zoo", model_id="zebra", url="https://zoo.example/v1"),
            target(host="lab", model_id="llama-a", weight=0, share=0),
        ],
        second=[
            target(host="lab", model_id="llama-b"),
            target(host="zoo", model_id="lion", url="https://zoo.example/v1"),
        ],
    )
    world = World(zoo=_lists("zebra"), lab=_lists("llama-a", "other"))
    assert verify(plan, {"lab": "key-l", "zoo": "key-z"}, transport=world) == [
        Verdict("first", "zoo", "zebra", "allowed", "in its list of models"),
        Verdict("first", "lab", "llama-a", "allowed", "in its list of models"),
        Verdict("second", "lab", "llama-b", "refused", "not in its list of models (2 there); the nearest is llama-a"),
        Verdict("second", "zoo", "lion", "refused", "not in its list of models (1 there)"),
    ]
    assert world.requests == {
        ("https://lab.example/v1/models", "Bearer key-l", None),
        ("https://zoo.example/v1/models", "Bearer key-z", None),
    }


@pytest.mark.parametrize(
    ("changes", "answer", "request_"),
    [
        (
            {"kind": "together", "url": "https://host.example/v1"},
            _lists("x"),
            ("https://host.example/v1/models?serverless", "Bearer key", None),
        ),
        (
            {"kind": "azure", "url": "https://host.example/openai/v1", "credential": AZURE_KEY},
            {"data": [{"id": "x", "status": "succeeded"}]},
            ("https://host.example/openai/deployments?api-version=2023-03-15-preview", None, "key"),
        ),
        (
            {"kind": "replicate", "protocol": "replicate", "url": "https://host.example/v1", "model_id": "meta/x"},
            {"name": "x"},
            ("https://host.example/v1/models/meta/x", "Bearer key", None),
        ),
        (
            {"kind": "vllm", "url": "http://host.example:8000/v1", "credential": NO_KEY_WANTED},
            _lists("x"),
            ("http://host.example:8000/v1/models", None, None),
        ),
    ],
    ids=["together", "azure", "replicate", "vllm"],
)
def test_each_kind_is_asked_in_its_own_way(
    target: Callable[..., Target], changes: dict[str, Any], answer: Any, request_: tuple[str, str | None, str | None]
):
    world = World(host=answer)
    (verdict,) = verify(_plan(m=[target(**{"model_id": "x"} | changes)]), {"lab": "key"}, transport=world)
    assert (verdict.outcome, world.requests) == ("allowed", {request_})


def test_an_account_without_keys_is_asked_with_a_token_or_it_is_said_why_there_is_none(target: Callable[..., Target]):
    tokens = Credential("authorization", ambient=False, variable=None, entra=True)
    url = "https://host.example/openai/v1"
    plan = _plan(m=[target(model_id="x", kind="azure", url=url, credential=tokens)])
    world = World(host={"data": [{"id": "x", "status": "succeeded"}]})
    (verdict,) = verify(plan, {}, transport=world, token=lambda: "a-token")
    asked = ("https://host.example/openai/deployments?api-version=2023-03-15-preview", "Bearer a-token", None)
    assert (verdict.outcome, world.requests) == ("allowed", {asked})

    def refused() -> str:
        raise HostError("refused", "Azure gives the service principal no token (HTTP 401)")

    (verdict,) = verify(plan, {}, transport=World(), token=refused)
    assert (verdict.outcome, verdict.why) == ("refused", "Azure gives the service principal no token (HTTP 401)")


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        ({"kind": "bedrock", "protocol": "bedrock-converse", "credential": AWS}, ("Bearer key", None)),
        ({"kind": "replicate", "protocol": "replicate"}, ("Bearer key", None)),
        ({"kind": "azure", "url": None, "credential": AZURE_KEY}, (None, "key")),
        ({"kind": "together", "ca": "/nowhere.pem"}, ("Bearer key", None)),
        ({"credential": NO_KEY_WANTED}, (None, None)),
    ],
    ids=["bedrock", "replicate", "azure", "together", "none"],
)
def test_a_simulated_host_is_asked_for_its_models_whatever_it_stands_for(
    target: Callable[..., Target], changes: dict[str, Any], header: tuple[str | None, str | None]
):
    world = World(simulated=_lists("x"))
    plan = _plan(m=[target(**{"model_id": "x"} | changes)])
    (verdict,) = verify(plan, {"lab": "key"}, urls={"lab": "http://simulated/lab/v1"}, transport=world)
    assert verdict == Verdict("m", "lab", "x", "allowed", "in its list of models")
    assert world.requests == {("http://simulated/lab/v1/models", *header)}


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        ({}, None, "there is no key for it: set LAB_API_KEY"),
        ({}, "", "there is no key for it: set LAB_API_KEY"),
        (
            {"credential": Credential("authorization", ambient=False, variable=None)},
            None,
            "there is no key for it: set one for this host",
        ),
        ({"url": None}, "key", "its URL is not known before it is provisioned: ask again after that"),
        ({}, "se\ncret", "its key holds a character that no key can have: is it whole, on one line, without blanks?"),
        ({}, "secret ", "its key holds a character that no key can have: is it whole, on one line, without blanks?"),
        ({}, "sécret", "its key holds a character that no key can have: is it whole, on one line, without blanks?"),
        ({"ca": "/nowhere.pem"}, "key", "its CA file /nowhere.pem cannot be read as PEM certificates"),
        ({"url": "https://[::1/v1"}, "key", "its URL is none that can be called: correct it in the stack"),
    ],
)
def test_a_host_that_cannot_be_asked_is_unknown_and_not_asked(
    target: Callable[..., Target], changes: dict[str, Any], key: str | None, why: str
):
    world = World()
    credentials = {} if key is None else {"lab": key}
    assert verify(_plan(m=[target(**changes)]), credentials, transport=world) == [
        Verdict("m", "lab", "Llama-3.3-70B", "unknown", why)
    ]
    assert world.requests == set()


def test_a_ca_file_without_certificates_is_unknown(target: Callable[..., Target], tmp_path: Path):
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    (verdict,) = verify(_plan(m=[target(ca=str(ca))]), {"lab": "key"}, transport=World())
    assert verdict.why == f"its CA file {ca} cannot be read as PEM certificates"


def test_a_refused_key_holds_for_all_that_a_host_serves_and_is_never_told(target: Callable[..., Target]):
    plan = _plan(a=[target(model_id="x")], b=[target(model_id="y")])
    world = World(lab=httpx.Response(401, json={"error": {"message": "Incorrect API key: very-secret"}}))
    verdicts = verify(plan, {"lab": "very-secret"}, transport=world)
    why = "it refuses the key (HTTP 401): give it a valid one"
    assert verdicts == [Verdict("a", "lab", "x", "refused", why), Verdict("b", "lab", "y", "refused", why)]
    assert "very-secret" not in repr(verdicts)


def test_one_host_down_leaves_the_verdict_on_another(target: Callable[..., Target]):
    plan = _plan(m=[target(model_id="x"), target(host="zoo", model_id="z", url="https://zoo.example/v1")])
    world = World(lab=httpx.Response(503), zoo=_lists("z"))
    assert [(one.host, one.outcome) for one in verify(plan, {"lab": "key", "zoo": "key"}, transport=world)] == [
        ("lab", "unknown"),
        ("zoo", "allowed"),
    ]


def test_bedrock_is_asked_with_the_credentials_of_the_environment(target: Callable[..., Target]):
    plan = _plan(m=[target(kind="bedrock", protocol="bedrock-converse", credential=AWS, region=None)])
    (verdict,) = verify(plan, {}, transport=World())
    assert verdict.why == "no AWS region is named: set the host's `region`, or `aws:region`"


def test_a_plan_without_targets_needs_no_verdict():
    assert verify(_plan(), {}) == []


def test_bedrock_without_the_libraries_of_aws_is_unknown_and_says_what_installs_them(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "boto3", None)
    plan = _plan(m=[target(kind="bedrock", protocol="bedrock-converse", credential=AWS, region="us-east-1")])
    (verdict,) = verify(plan, {}, transport=World())
    assert (verdict.outcome, verdict.why) == (
        "unknown",
        "asking Bedrock needs libraries that are not installed here: pip install 'corral[aws]'",
    )
    assert signed_in() is False
