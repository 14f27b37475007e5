"""What requests through a gateway prove of each model at each host."""

from __future__ import annotations

import itertools
import json

import httpx
import pytest

from corral.gateway.smoke import Access, smoke
from tests.gateway.manifests.plans import model, plan, tenant

PLAN = plan(model("llama", {"groq": 80, "lab": 20, "drained": 0}, ["vllm"]), tenants=[tenant("search", "llama")])
ACCESS = Access("https://llm.example.com/v1", {"other": "sk-other", "search": "sk-NEVER"})

FALLBACK = ("unknown", "a fallback, asked only when sharing hosts fail: `corral verify` asks it for its models")
DRAINED = ("unknown", "it is drained: no request reaches it")
ANSWERS = ("allowed", "it answers")

Answer = tuple[int, str | None]


def found(*answers: Answer, access: Access = ACCESS, most: int = 100) -> dict[str, tuple[str, str]]:
    """By host outcome and why; `answers`: status and host, over and over."""
    turns = itertools.cycle(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url == "https://llm.example.com/v1/chat/completions"
        assert request.headers["authorization"] == "Bearer sk-NEVER"
        assert json.loads(request.content)["model"] == "llama"
        status, host = next(turns)
        return httpx.Response(status, headers={"x-corral-host": host} if host else {})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        verdicts = list(smoke(PLAN, access, client, most))
    return {verdict.host: (verdict.outcome, verdict.why) for verdict in verdicts}


@pytest.mark.parametrize(
    ("answers", "most", "groq", "lab"),
    [
        ([(200, "groq"), (200, "lab")], 100, ANSWERS, ANSWERS),
        ([(200, "groq")], 9, ANSWERS, ("unknown", "it was not drawn in 9: allow for more, --requests")),
        (
            [(200, "groq")],
            100,
            ANSWERS,
            ("refused", "it answered none of 100 requests, of which 20 in 100 are its share"),
        ),
        (
            [(200, "groq"), (500, "lab")],
            100,
            ANSWERS,
            ("refused", "HTTP 500 to one of 2 requests"),
        ),
        ([(404, None)], 100, *[("refused", "HTTP 404 to one of 1 request")] * 2),
        ([(200, None)], 100, *[("unknown", "answered, but this gateway does not say by which host")] * 2),
    ],
    ids=["all answer", "a small share", "another answers for it", "it fails", "not served", "not named"],
)
def test_each_sharing_host_has_to_answer(
    answers: list[Answer], most: int, groq: tuple[str, str], lab: tuple[str, str]
) -> None:
    want = {"drained": DRAINED, "groq": groq, "lab": lab, "vllm": FALLBACK}
    assert found(*answers, most=most) == want


def test_a_fallback_that_answers_is_told_and_the_host_that_it_stands_in_for_is_refused() -> None:
    told = found((200, "groq"), (200, "vllm"))
    assert (told["vllm"], told["lab"][0]) == (ANSWERS, "refused")


def test_without_a_key_of_a_tenant_who_may_ask_nothing_is_asked() -> None:
    why = ("unknown", "no key here of a tenant who may ask for it: name one, --key-variable")
    told = found(access=Access(ACCESS.url, {"other": "sk-other"}))
    assert told == {"drained": DRAINED, "groq": why, "lab": why, "vllm": FALLBACK}


def test_a_key_that_is_named_is_the_one_that_is_used() -> None:
    assert found((200, "lab"), (200, "groq"), access=Access(ACCESS.url, {}, "sk-NEVER"))["lab"] == ANSWERS


def test_a_gateway_out_of_reach_is_refused() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("sk-NEVER", request=request)

    with httpx.Client(transport=httpx.MockTransport(gone)) as client:
        (_, groq, *_) = smoke(PLAN, ACCESS, client, 100)
    why = "no answer from https://llm.example.com/v1/chat/completions (ConnectError): is it in reach from here?"
    assert (groq.outcome, groq.why) == ("refused", why)


def test_no_key_is_shown_by_what_holds_it() -> None:
    assert "NEVER" not in repr(Access(ACCESS.url, ACCESS.keys, "sk-NEVER"))
