"""One HTTP exchange from the host's side: reading the request, answering it, waiting, and going away.

The wire: what a client of a simulated host meets, in the order in which a real one would say no.

Order.  A fault that stops everything comes first, then the credential, the path, the body, the model id, and what the
model does not do; then the answer, at the host's speed, shaped by what faults are left.  What a request asks for, and
in which words it is refused, is the host's protocol's to say (`dialect`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from corral.simulated.bedrock import Aws
from corral.simulated.faults import Fault
from corral.simulated.hosts import SimulatedHost, SimulatedModel
from corral.simulated.openai import OpenAI
from corral.simulated.replicate import Replicate
from corral.simulated.requests import (
    FAULTS,
    Asked,
    Dialect,
    Refusal,
    Reply,
    Request,
    Streamed,
    Whole,
    beyond_the_model,
    no_path,
    no_such_model,
)
from corral.simulated.simulation import Exchange, Simulation


class ClientLeftError(Exception):
    """The client closed the connection; nothing can be answered any more."""


class Client:
    """Who asked.  The status and what was sent are written down in `exchange`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._exchange = exchange
        self.id_header = "x-request-id"
        """The header in which the host says by which id it knows the request."""

    def header(self, name: bytes) -> str:
        """The value of a request header, or nothing."""
        return next((value.decode("latin-1") for key, value in self._scope["headers"] if key == name), "")

    async def body(self) -> bytes:
        """The whole request body.  Raises ClientLeftError."""
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        """Answers with JSON in one piece; `more` are further headers."""
        await self.begin(status, "application/json", len(body), *more)
        await self.end(body)

    async def begin(self, status: int, content_type: str, length: int | None, *more: tuple[str, str]) -> None:
        """Sends the status line and headers; without a length the body is chunked."""
        headers = [("content-type", content_type), (self.id_header, f"req_{uuid.uuid4().hex}"), *more]
        if length is not None:
            headers.append(("content-length", str(length)))
        self._exchange.status = status
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def more(self, body: bytes) -> None:
        """Sends a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Sends the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def wait(self, seconds: float) -> None:
        """Lets time pass.  Raises ClientLeftError as soon as the client leaves."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self.leave()
            except TimeoutError:
                return

    async def leave(self) -> None:
        """Waits until the client leaves, then raises ClientLeftError.  Only once the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientLeftError

    async def reset(self) -> None:
        """Resets the TCP connection, then raises ClientLeftError.  Only under `connection.ResettableProtocol`."""
        reset: Callable[[], None] = self._scope["state"]["reset"]
        reset()
        await self.leave()


_TICK = 0.005
"""Seconds between two writes of one stream at least: a fast stream sends several tokens at a time."""


class Wire:
    """The ASGI app of all simulated hosts."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._dialects: dict[str, Dialect] = {
            "openai": OpenAI(simulation.faults),
            "bedrock-converse": Aws(),
            "replicate": Replicate(simulation),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        host = self._simulation.hosts.get(path.split("/", 2)[1])
        exchange = self._simulation.counts.begin(host.name) if host else Exchange("")
        client = Client(scope, receive, send, exchange)
        if host is None:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            refusal = no_path(_request(scope, "", b""), f"the hosts are {known}")
            await client.answer(refusal.status, refusal.body(None))
            return
        try:
            await self._serve(client, scope, host, exchange)
        except ClientLeftError:
            pass
        finally:
            self._simulation.counts.end(exchange)

    async def _serve(self, client: Client, scope: Scope, host: SimulatedHost, exchange: Exchange) -> None:
        dialect = self._dialects[host.protocol]
        client.id_header = dialect.id_header
        request = _request(scope, unquote(host.prefix), await client.body())
        asked = dialect.asked(host, request)
        if isinstance(asked, Asked) and asked.model in host.models:
            exchange.model = asked.model
        fault = self._simulation.faults.find(host.name, exchange.model)
        if fault is not None:
            await _vanish(client, fault)
        refusal = _stopped(fault, asked) or dialect.locked(host, request) or _refused(host, asked)
        if refusal is not None:
            said = dialect.said(refusal, host.name)
            await client.answer(said.status, said.body, *said.headers)
            return
        reply = asked.reply(host.name) if isinstance(asked, Asked) else asked
        assert not isinstance(reply, Refusal)  # noqa: S101 (it is `refusal` then)
        exchange.prompt_tokens = reply.prompt_tokens
        await self._answer(client, host, reply, fault, exchange)

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
        await client.wait(_seconds(reply, speed.tokens_per_second))
        if kind == "reset-mid-stream":
            await client.begin(reply.status, "application/json", len(reply.body))
            await client.more(reply.body[: len(reply.body) // 2])
            await client.reset()
        exchange.answer_tokens = reply.answer_tokens
        await client.answer(reply.status, reply.body[: len(reply.body) // 2] if kind == "bad-json" else reply.body)


def _seconds(reply: Whole, rate: int | None) -> float:
    if reply.seconds is not None:
        return reply.seconds
    return 0 if rate is None else reply.answer_tokens / rate


async def _stream(client: Client, reply: Streamed, rate: int | None, fault: str | None, exchange: Exchange) -> None:
    await client.begin(200, reply.content_type, None, ("cache-control", "no-cache"))
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


def _request(scope: Scope, prefix: str, body: bytes) -> Request:
    path: str = scope["path"]
    return Request(
        method=scope["method"],
        path=path,
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        route=path.removeprefix(prefix) if path.startswith(prefix) else None,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        body=body,
    )


async def _vanish(client: Client, fault: Fault) -> None:
    if fault.kind == "hang":
        await client.leave()
    if fault.kind == "reset":
        await client.reset()


def _stopped(fault: Fault | None, asked: Asked | Whole | Refusal) -> Refusal | None:
    if fault is None:
        return None
    if fault.kind == "404":
        return no_such_model(asked.model) if isinstance(asked, Asked) else None
    refusal = FAULTS.get(fault.kind)
    return replace(refusal, retry_after=fault.retry_after) if refusal and fault.kind == "429" else refusal


def _refused(host: SimulatedHost, asked: Asked | Whole | Refusal) -> Refusal | None:
    if not isinstance(asked, Asked):
        return asked if isinstance(asked, Refusal) else None
    facts: SimulatedModel | None = host.models.get(asked.model)
    if facts is None:
        return no_such_model(asked.model)
    return beyond_the_model(facts, streamed=bool(asked.stream), tools=asked.with_tools, images=asked.with_images)
