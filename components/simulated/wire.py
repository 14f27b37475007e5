"""The wire: what a client of a simulated host meets, in the order in which a real one would say no.

Order.  A fault that stops everything comes first, then the credential, the path, the body, the model id, and what the
model does not do; then the answer, at the host's speed, shaped by what faults are left.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import replace
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from components.simulated.asked import Asked, Reply, Streamed, Whole, to_json
from components.simulated.chat import ChatRequest
from components.simulated.client import Client, ClientLeftError
from components.simulated.completions import CompletionRequest
from components.simulated.counts import Exchange
from components.simulated.embeddings import EmbeddingRequest
from components.simulated.faults import Fault
from components.simulated.hosts import SimulatedHost, SimulatedModel
from components.simulated.refusal import (
    FAULTS,
    Refusal,
    beyond_the_model,
    no_credential,
    no_such_model,
    wrong_credential,
)
from components.simulated.responses import ResponseRequest
from components.simulated.simulation import Simulation

_ROUTES: dict[str, type[Asked]] = {
    "/chat/completions": ChatRequest,
    "/completions": CompletionRequest,
    "/embeddings": EmbeddingRequest,
    "/responses": ResponseRequest,
}

_TICK = 0.005
"""Seconds between two writes of one stream at least: a fast stream sends several tokens at a time."""


class Wire:
    """The ASGI app of all simulated hosts."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        host = self._simulation.hosts.get(path.split("/", 2)[1])
        if host is None:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            await _refuse(Client(scope, receive, send, Exchange("")), None, _no_path(scope, f"the hosts are {known}"))
            return
        exchange = self._simulation.counts.begin(host.name)
        try:
            await self._serve(Client(scope, receive, send, exchange), scope, host, exchange)
        except ClientLeftError:
            pass
        finally:
            self._simulation.counts.end(exchange)

    async def _serve(self, client: Client, scope: Scope, host: SimulatedHost, exchange: Exchange) -> None:
        body = await client.body()
        asked = _asked(host, scope, body)
        if isinstance(asked, Asked) and asked.model in host.models:
            exchange.model = asked.model
        fault = self._simulation.faults.find(host.name, exchange.model)
        if fault is not None:
            await _vanish(client, fault)
        refusal = _stopped(fault, asked) or _locked(host, client) or _refused(host, asked)
        if refusal is not None:
            await _refuse(client, host.name, refusal)
            return
        reply = asked.reply(host.name) if isinstance(asked, Asked) else self._model_list(host)
        exchange.prompt_tokens = reply.prompt_tokens
        await self._answer(client, host, reply, fault, exchange)

    def _model_list(self, host: SimulatedHost) -> Whole:
        faults = {model: self._simulation.faults.find(host.name, model) for model in host.models}
        there = sorted(model for model, fault in faults.items() if fault is None or fault.kind != "404")
        data = [{"id": model, "object": "model", "created": 0, "owned_by": host.name} for model in there]
        return Whole(to_json({"object": "list", "data": data}), 0, 0)

    async def _answer(
        self, client: Client, host: SimulatedHost, reply: Reply, fault: Fault | None, exchange: Exchange
    ) -> None:
        speed = self._simulation.speed(host)
        kind = fault.kind if fault else None
        delay = fault.delay if fault and kind == "slow-first-byte" else 0
        await client.wait((speed.latency + delay) / 1000)
        if isinstance(reply, Streamed):
            await _stream(client, reply, speed.tokens_per_second, kind, exchange)
            return
        if speed.tokens_per_second is not None:
            await client.wait(reply.answer_tokens / speed.tokens_per_second)
        if kind == "reset-mid-stream":
            await client.begin(200, "application/json", len(reply.body))
            await client.more(reply.body[: len(reply.body) // 2])
            await client.reset()
        exchange.answer_tokens = reply.answer_tokens
        await client.answer(200, reply.body[: len(reply.body) // 2] if kind == "bad-json" else reply.body)


async def _stream(client: Client, reply: Streamed, rate: int | None, fault: str | None, exchange: Exchange) -> None:
    await client.begin(200, "text/event-stream; charset=utf-8", None, ("cache-control", "no-cache"))
    if fault == "bad-json":
        await client.end(reply.opening + reply.tokens[0][: len(reply.tokens[0]) // 2] + b"\n\n")
        return
    last = max(1, len(reply.tokens) // 2) if fault == "reset-mid-stream" else len(reply.tokens)
    clock = asyncio.get_running_loop().time
    begun = clock()
    sent, pending = 0, reply.opening
    while True:
        due = last if rate is None else min(last, 1 + int((clock() - begun) * rate))
        pending += b"".join(reply.tokens[sent:due])
        sent = exchange.answer_tokens = due
        if rate is None or sent == last:
            break
        await client.more(pending)
        pending = b""
        await client.wait(max(_TICK, begun + sent / rate - clock()))
    if fault == "reset-mid-stream":
        await client.more(pending)
        await client.reset()
    await client.end(pending + reply.closing)


def _asked(host: SimulatedHost, scope: Scope, body: bytes) -> Asked | Refusal | None:
    """What a request asks for; None: the model list."""
    path: str = scope["path"]
    prefix = unquote(host.prefix)
    route = path.removeprefix(prefix) if path.startswith(prefix) else ""
    if route == "/models":
        return None if scope["method"] == "GET" else _wrong_method(scope)
    kind = _ROUTES.get(route)
    if kind is None:
        return _no_path(scope, f"its base URL ends in {host.prefix}")
    return kind.read(body) if scope["method"] == "POST" else _wrong_method(scope)


def _no_path(scope: Scope, hint: str) -> Refusal:
    return Refusal(404, f"Unknown request URL: {scope['method']} {scope['path']}; {hint}.", code="unknown_url")


def _wrong_method(scope: Scope) -> Refusal:
    return Refusal(405, f"Not allowed here: {scope['method']} {scope['path']}.", code="method_not_supported")


async def _vanish(client: Client, fault: Fault) -> None:
    if fault.kind == "hang":
        await client.leave()
    if fault.kind == "reset":
        await client.reset()


def _stopped(fault: Fault | None, asked: Asked | Refusal | None) -> Refusal | None:
    if fault is None:
        return None
    if fault.kind == "404":
        return no_such_model(asked.model) if isinstance(asked, Asked) else None
    refusal = FAULTS.get(fault.kind)
    return replace(refusal, retry_after=fault.retry_after) if refusal and fault.kind == "429" else refusal


def _locked(host: SimulatedHost, client: Client) -> Refusal | None:
    if host.key is None:
        return None
    scheme, _, bearer = client.header(b"authorization").partition(" ")
    given = [bearer.strip()] if scheme.lower() == "bearer" else []
    if host.header == "api-key":
        given.append(client.header(b"api-key"))
    if not any(given):
        return no_credential(host)
    right = any(hmac.compare_digest(key.encode(), host.key.encode()) for key in given)
    return None if right else wrong_credential()


def _refused(host: SimulatedHost, asked: Asked | Refusal | None) -> Refusal | None:
    if asked is None or isinstance(asked, Refusal):
        return asked
    facts: SimulatedModel | None = host.models.get(asked.model)
    if facts is None:
        return no_such_model(asked.model)
    return beyond_the_model(facts, streamed=bool(asked.stream), tools=asked.with_tools, images=asked.with_images)


async def _refuse(client: Client, host: str | None, refusal: Refusal) -> None:
    more = [] if refusal.retry_after is None else [("retry-after", str(refusal.retry_after))]
    await client.answer(refusal.status, refusal.body(host), *more)
