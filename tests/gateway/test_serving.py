"""When `pulumi up` takes what it has made for served, and what it says where it cannot know."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import trustme

from corral.gateway.names import NAMES
from corral.gateway.serving import ModelLists, NewRoutes, Proof, is_rolled_out, prove, wait_for_rollout


def deployment(*, generation: int = 2, processor: bool = True, **status: int) -> dict[str, Any]:
    annotations = {"aigateway.envoyproxy.io/extproc-config-hash": "1"} if processor else None
    return {
        "metadata": {"generation": generation},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }


@pytest.mark.parametrize(
    ("envoys", "want"),
    [
        (deployment(), True),
        (deployment(processor=False), False),
        (deployment(generation=3), False),
        (deployment(replicas=3), False),
        (deployment(updatedReplicas=1), False),
        (deployment(availableReplicas=1), False),
        (deployment(replicas=0, updatedReplicas=0, availableReplicas=0), False),
        ({**deployment(), "status": None}, False),
    ],
    ids=["all", "no processor", "unseen", "old ones", "few new ones", "one is not ready", "none", "no status"],
)
def test_envoys_are_replaced_when_all_have_a_processor_and_none_before_is_left(envoys: dict[str, Any], want: bool):
    assert is_rolled_out(envoys) == want


def rollout(read: Sequence[Mapping[str, Any]]) -> tuple[list[float], str]:
    """The seconds that were waited, and what was said; the last Deployment stays."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async def current(attempt: int) -> Mapping[str, Any]:
        return read[min(attempt, len(read) - 1)]

    return waited, asyncio.run(wait_for_rollout(NAMES.deployment, current, wait))


def test_a_rollout_is_waited_for_as_long_as_it_takes():
    assert rollout([deployment(processor=False), deployment(updatedReplicas=1), deployment()]) == ([1, 1, 2], "")


def test_a_rollout_that_does_not_end_is_told_with_what_shows_why():
    waited, text = rollout([deployment(updatedReplicas=1)])
    assert 590 < sum(waited) < 630
    assert "kubectl -n envoy-gateway-system rollout status deployment/envoy-corral-corral-f314e704" in text


@dataclass(frozen=True)
class Lists(ModelLists):
    """Answers from a list, of which the last stays."""

    url: str = "http://gateway/v1"
    key: str | None = "a key"
    answers: Sequence[frozenset[str] | Exception] = ()
    asked: list[int] = field(default_factory=list[int])

    async def read(self) -> frozenset[str]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(1)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """Time that passes when it is waited for."""

    def __init__(self) -> None:
        self.now = 1_000.0

    async def wait(self, seconds: float) -> None:
        self.now += seconds


OLD, BOTH = frozenset({"llama"}), frozenset({"llama", "scout"})
ADDED = NewRoutes(["scout"], first=False, since=1_000)
FIRST = NewRoutes(["llama", "scout"], first=True, since=900)
GONE = httpx.ConnectError("no such name")
NOT_FROM_HERE = "the gateway cannot be asked from here (ConnectError at http://gateway/v1)"
BY_HAND = "`corral smoke -s stack` asks each of its models for an answer"
GIVEN = ", so it was given 100 s to get to know of scout"


@pytest.mark.parametrize(
    ("new", "lists", "want", "seconds"),
    [
        (ADDED, Lists(answers=[BOTH]), Proof("the gateway serves scout: 10 lists of its models in a row say so"), 0),
        (
            ADDED,
            Lists(answers=[frozenset(), OLD, BOTH, OLD, BOTH]),
            Proof("the gateway serves scout: 10 lists of its models in a row say so"),
            3,
        ),
        (
            ADDED,
            Lists(answers=[OLD]),
            Proof(f"the gateway does not say yet that it serves scout: {BY_HAND}", True),
            100,
        ),
        (
            ADDED,
            Lists(answers=[GONE]),
            Proof(f"{NOT_FROM_HERE}{GIVEN}; where it can, {BY_HAND}"),
            100,
        ),
        (
            ADDED,
            Lists(key=None),
            Proof(
                "the gateway cannot be asked from here (its tenants have tokens, of which there is none here)"
                f"{GIVEN}; where it can, {BY_HAND}"
            ),
            100,
        ),
        (
            FIRST,
            Lists(answers=[GONE]),
            Proof(f"{NOT_FROM_HERE}; where it can, {BY_HAND}"),
            0,
        ),
        (
            FIRST,
            Lists(answers=[OLD] * 20 + [BOTH]),
            Proof("the gateway serves llama and scout: 10 lists of its models in a row say so"),
            20,
        ),
        (
            FIRST,
            Lists(answers=[frozenset(), GONE, GONE, BOTH, GONE, BOTH]),
            Proof("the gateway serves llama and scout: 10 lists of its models in a row say so"),
            4,
        ),
    ],
    ids=[
        "at once",
        "late at one Envoy",
        "never",
        "out of reach",
        "tokens",
        "a new gateway out of reach",
        "a new gateway",
        "out of reach after an answer",
    ],
)
def test_new_models_are_served_when_every_answer_names_them_else_time_is_given(
    new: NewRoutes, lists: Lists, want: Proof, seconds: float
):
    clock = Clock()
    proof = asyncio.run(prove(new, lists, 100_000, clock.wait, lambda: clock.now))
    assert (proof, clock.now - 1_000) == (want, seconds)


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["authorization"] == "Bearer a key" and self.path == "/v1/models"
        body = json.dumps({"object": "list", "data": [{"id": "llama"}] if known else []}).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


AUTHORITY = trustme.CA()
CA = AUTHORITY.cert_pem.bytes().decode()


@pytest.fixture
def url() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        yield f"https://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_a_gateway_is_asked_for_its_models_with_a_tenants_key(url: str):
    answers = [asyncio.run(ModelLists(url, key, CA).read()) for key in ("a key", "another")]
    assert answers == [frozenset({"llama"}), frozenset()]


def test_a_gateway_whose_authority_is_not_the_stacks_gets_no_key(url: str):
    another = trustme.CA().cert_pem.bytes().decode()
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(ModelLists(url, "a key", another).read())
