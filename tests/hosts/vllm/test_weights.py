"""Whether weights are to be had: Hugging Face's and S3's answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from corral.hosts.aws import Account
from corral.hosts.probing import Judgement, Precondition
from corral.hosts.vllm.weights import of_hugging_face, of_s3
from tests.hosts.account import Answer, FakeAccount

META, TOKEN = "meta-llama/Llama-3.3-70B-Instruct", "hf_NEVER"
PAGE = f"huggingface.co/{META}"


def refusal(status: int, code: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={"x-error-code": code} if code else {})


FOUND, MOVED, GATED, FORBIDDEN = (
    httpx.Response(200),
    httpx.Response(307),
    refusal(401, "GatedRepo"),
    refusal(403, "GatedRepo"),
)

CASES: list[tuple[str, httpx.Response, str | None, bool, str | None, Judgement]] = [
    ("open", FOUND, None, False, None, ("allowed", "to be had without a token")),
    ("open, elsewhere", MOVED, None, False, None, ("allowed", "to be had without a token")),
    ("open, a token that is not here", FOUND, None, True, None, ("allowed", "to be had without a token")),
    ("licensed", FOUND, TOKEN, True, f"Bearer {TOKEN}", ("allowed", "to be had")),
    (
        "not licensed",
        FORBIDDEN,
        TOKEN,
        True,
        f"Bearer {TOKEN}",
        ("refused", f"the token's owner has not accepted the licence: {PAGE}"),
    ),
    (
        "a token that the stack does not have",
        GATED,
        TOKEN,
        False,
        None,
        (
            "refused",
            (
                f"its licence is to be accepted ({PAGE}), and the stack has no token: `pulumi config set --secret "
                "--path 'corral:keys.huggingface'`"
            ),
        ),
    ),
    (
        "a token that is not here",
        GATED,
        None,
        True,
        None,
        ("unknown", "it takes a token: set HF_TOKEN here to the one that the stack has, and ask again"),
    ),
    (
        "no such repository",
        refusal(401, "RepoNotFound"),
        None,
        False,
        None,
        (
            "refused",
            (
                f"Hugging Face has no repository {META} that can be read without a token: correct modelWeights, or the "
                "token"
            ),
        ),
    ),
    (
        "none for this token",
        refusal(404, "RepoNotFound"),
        TOKEN,
        True,
        f"Bearer {TOKEN}",
        (
            "refused",
            f"Hugging Face has no repository {META} that this token may read: correct modelWeights, or the token",
        ),
    ),
    (
        "no such file",
        refusal(404, "EntryNotFound"),
        None,
        False,
        None,
        ("unknown", f"Hugging Face answers HTTP 404 to {META}/config.json"),
    ),
    (
        "out of reach",
        refusal(503),
        None,
        False,
        None,
        ("unknown", "huggingface.co does not answer: see whether it is in reach from here"),
    ),
    ("trouble", refusal(418), None, False, None, ("unknown", f"Hugging Face answers HTTP 418 to {META}/config.json")),
]


@pytest.mark.parametrize(
    ("response", "token", "stated", "sent", "want"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_hugging_face_is_asked_as_the_servers_will_ask(
    response: httpx.Response, token: str | None, stated: bool, sent: str | None, want: Judgement
):
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("HEAD", f"https://{PAGE}/resolve/main/config.json")
        assert request.headers.get("authorization") == sent
        return response

    transport = httpx.MockTransport(answer)
    judged = Precondition.of("vllm", "weights", of_hugging_face, META, token, stated=stated, transport=transport)
    assert (judged.outcome, judged.why) == want


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        ({"Contents": [{"Key": "llama/config.json"}], "IsTruncated": False}, ("allowed", "there")),
        (
            {"IsTruncated": False},
            ("refused", "nothing is below s3://weights/llama: put the weights there, or correct modelWeights"),
        ),
        ("AccessDenied", ("unknown", "these AWS credentials may not ask: allow s3:ListBucket")),
        ("NoSuchBucket", ("refused", "there is no bucket weights: correct modelWeights")),
    ],
    ids=["there", "empty", "denied", "no bucket"],
)
def test_a_bucket_is_asked_for_what_is_below_the_path(monkeypatch: pytest.MonkeyPatch, answer: Answer, want: Judgement):
    seen: list[Any] = []

    def listed(params: Any) -> Any:
        seen.append((params["Bucket"], params["Prefix"]))
        return answer

    FakeAccount({"list_objects_v2": listed}).installed(monkeypatch)
    judged = Precondition.of("vllm", "weights", of_s3, "s3://weights/llama", Account("us-east-1"))
    assert (judged.outcome, judged.why) == want
    assert seen == [("weights", "llama/")]
