"""One HTTP exchange from a stand-in's side: what a client of it meets, in the order in which a real host would refuse.

Order.  A fault that stops everything comes first, then the credential, the path, the body, the model id, and what the
model does not do; then the answer, at the host's speed, shaped by what faults are left.  What a request asks for, and
in which words it is refused, is the host's protocol's to say (`requests.Dialect`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from corral.simulated.bedrock import Bedrock
from corral.simulated.hosts import SimulatedHost
from corral.simulated.openai import OpenAI
from corral.simulated.replicate import Replicate
from corral.simulated.requests import (
    FAULTS,
    Dialect,
    HttpRequest,
    ModelRequest,
    Refusal,
    Reply,
    Streamed,
    Whole,
    no_such_model,
)
from corral.simulated.simulation import Exchange, Fault, Simulation


class ClientLeftError(Exception):
    """The client closed the connection; nothing can be answered any more."""


class Client:
    """The client of one request.  The status and what was sent are written down in `exchange`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._exchange = exchange

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

    async def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        """Answers with JSON in one piece."""
        await self.begin(status, "application/json", len(body), *headers)
        await self.end(body)

    async def begin(self, status: int, content_type: str, length: int | None, *headers: tuple[str, str]) -> None:
        """Sends the status line and headers; without a length the body is chunked."""
        sized = () if length is None else (("content-length", str(length)),)
        self._exchange.status = status
        encoded = [
            (name.encode(), value.encode()) for name, value in (("content-type", content_type), *headers, *sized)
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def send(self, body: bytes) -> None:
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
        """Resets the TCP connection, then raises ClientLeftError.  Only under `server.ResettableProtocol`."""
        reset: Callable[[], None] = self._scope["state"]["reset"]
        reset()
        await self.leave()


_TICK_SECONDS = 0.005
"""The least time between two writes of one stream: a fast stream sends several tokens at a time."""


class Wire:
    """The ASGI app of all simulated hosts."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._openai = OpenAI(simulation.faults)
        self._dialects: dict[str, Dialect] = {
            "openai": self._openai,
            "bedrock-converse": Bedrock(),
            "replicate": Replicate(simulation),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        host = self._simulation.hosts.get(path.split("/", 2)[1])
        exchange = self._simulation.counts.begin(host.name) if host else Exchange("")
        client = Client(scope, receive, send, exchange)
        if host is None:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            await _refuse(client, self._openai, _request(scope, "", b"").not_found(f"the hosts are {known}"), "")
            return
        try:
            await self._serve(client, scope, host, exchange)
        except ClientLeftError:
            pass
        finally:
            self._simulation.counts.end(exchange)

    async def _serve(self, client: Client, scope: Scope, host: SimulatedHost, exchange: Exchange) -> None:
        dialect = self._dialects[host.protocol]
        http = _request(scope, unquote(host.prefix), await client.body())
        request = dialect.parse(host, http)
        if isinstance(request, ModelRequest) and request.model in host.models:
            exchange.model = request.model
        fault = self._simulation.faults.find(host.name, exchange.model)
        if fault is not None:
            await _vanish(client, fault)
        refusal = _failed(fault, request) or dialect.check_credential(host, http) or _refusal(host, request)
        if refusal is not None:
            await _refuse(client, dialect, refusal, f"{host.name} (simulated): ")
            return
        reply = request.reply(host.name) if isinstance(request, ModelRequest) else request
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
        request_id = _request_id(self._dialects[host.protocol])
        rate = speed.tokens_per_second
        if isinstance(reply, Streamed):
            await client.begin(200, reply.content_type, None, request_id, ("cache-control", "no-cache"))
            await _stream(client, reply, rate, kind, exchange)
            return
        taken = reply.answer_tokens / rate if rate else 0
        await client.wait(taken if reply.seconds is None else reply.seconds)
        half = reply.body[: len(reply.body) // 2]
        if kind == "reset-mid-stream":
            await client.begin(reply.status, "application/json", len(reply.body), request_id)
            await client.send(half)
            await client.reset()
        exchange.answer_tokens = reply.answer_tokens
        await client.answer(reply.status, half if kind == "bad-json" else reply.body, request_id)


def _request_id(dialect: Dialect) -> tuple[str, str]:
    return dialect.id_header, f"req_{uuid.uuid4().hex}"


async def _refuse(client: Client, dialect: Dialect, refusal: Refusal, prefix: str) -> None:
    error = dialect.error(refusal, prefix + refusal.message)
    headers = [_request_id(dialect), *error.headers]
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    await client.answer(error.status, error.body, *headers)


async def _stream(client: Client, reply: Streamed, rate: int | None, fault: str | None, exchange: Exchange) -> None:
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
        await client.send(pending)
        pending = b""
        await client.wait(max(_TICK_SECONDS, begun + sent / rate - clock()))
    if fault == "reset-mid-stream":
        await client.send(pending)
        await client.reset()
    await client.end(pending + reply.closing)


def _request(scope: Scope, prefix: str, body: bytes) -> HttpRequest:
    path: str = scope["path"]
    return HttpRequest(
        method=scope["method"],
        path=path,
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        route=path.removeprefix(prefix) if path.startswith(prefix) else None,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])},
        body=body,
    )


async def _vanish(client: Client, fault: Fault) -> None:
    if fault.kind == "hang":
        await client.leave()
    if fault.kind == "reset":
        await client.reset()


def _failed(fault: Fault | None, request: ModelRequest | Whole | Refusal) -> Refusal | None:
    """The refusal of a fault."""
    if fault is None:
        return None
    if fault.kind == "404":
        return no_such_model(request.model) if isinstance(request, ModelRequest) else None
    refusal = FAULTS.get(fault.kind)
    return replace(refusal, retry_after=fault.retry_after) if refusal and fault.kind == "429" else refusal


def _refusal(host: SimulatedHost, request: ModelRequest | Whole | Refusal) -> Refusal | None:
    """The refusal of a request that the host, or its model, does not take."""
    if not isinstance(request, ModelRequest):
        return request if isinstance(request, Refusal) else None
    model = host.models.get(request.model)
    return request.unsupported(model) if model else no_such_model(request.model)
