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
from corral.simulated.loopback import ClientLeftError, HttpCall
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
        call = HttpCall(scope, receive, send)
        if host is None:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            await _refuse(call, self._openai, HttpRequest(scope).unknown_path(f"the hosts are {known}"), "")
            return
        exchange = self._simulation.counts.begin(host.name)
        try:
            await self._serve(call, host, exchange)
        except ClientLeftError:
            pass
        finally:
            exchange.status = call.status
            self._simulation.counts.end(exchange)

    async def _serve(self, call: HttpCall, host: SimulatedHost, exchange: Exchange) -> None:
        dialect = self._dialects[host.protocol]
        http = HttpRequest(call.scope, unquote(host.prefix), await call.body())
        request = dialect.parse(host, http)
        if isinstance(request, ModelRequest) and request.model in host.models:
            exchange.model = request.model
        fault = self._simulation.faults.find(host.name, exchange.model)
        if fault is not None:
            await _vanish(call, fault)
        refusal = _failed(fault, request) or dialect.check_credential(host, http) or _refusal(host, request)
        if refusal is not None:
            await _refuse(call, dialect, refusal, f"{host.name} (simulated): ")
            return
        reply = request.reply(host.name) if isinstance(request, ModelRequest) else request
        assert not isinstance(reply, Refusal)  # noqa: S101 (it is `refusal` then)
        exchange.prompt_tokens = reply.prompt_tokens
        await self._answer(call, host, reply, fault, exchange)

    async def _answer(
        self, call: HttpCall, host: SimulatedHost, reply: Reply, fault: Fault | None, exchange: Exchange
    ) -> None:
        speed = self._simulation.speed(host)
        kind = fault.kind if fault else None
        delay = fault.delay if fault and kind == "slow-first-byte" else 0
        await _wait(call, (speed.latency + delay) / 1000)
        request_id = _request_id(self._dialects[host.protocol])
        rate = speed.tokens_per_second
        if isinstance(reply, Streamed):
            await call.begin(200, reply.content_type, request_id, ("cache-control", "no-cache"))
            await _stream(call, reply, rate, kind, exchange)
            return
        taken = reply.answer_tokens / rate if rate else 0
        await _wait(call, taken if reply.seconds is None else reply.seconds)
        half = reply.body[: len(reply.body) // 2]
        if kind == "reset-mid-stream":
            await call.begin(reply.status, "application/json", request_id, ("content-length", str(len(reply.body))))
            await call.send(half)
            await _reset(call)
        exchange.answer_tokens = reply.answer_tokens
        await call.answer(reply.status, half if kind == "bad-json" else reply.body, request_id)


async def _wait(call: HttpCall, seconds: float) -> None:
    """Lets time pass.  Raises ClientLeftError as soon as the client leaves."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await call.client_leaves()
        except TimeoutError:
            return


async def _reset(call: HttpCall) -> None:
    """Resets the TCP connection, then raises ClientLeftError.  Only under `server.ResettableProtocol`."""
    reset: Callable[[], None] = call.scope["state"]["reset"]
    reset()
    await call.client_leaves()


def _request_id(dialect: Dialect) -> tuple[str, str]:
    return dialect.id_header, f"req_{uuid.uuid4().hex}"


async def _refuse(call: HttpCall, dialect: Dialect, refusal: Refusal, prefix: str) -> None:
    error = dialect.error(refusal, prefix + refusal.message)
    headers = [_request_id(dialect), *error.headers]
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    await call.answer(error.status, error.body, *headers)


async def _stream(call: HttpCall, reply: Streamed, rate: int | None, fault: str | None, exchange: Exchange) -> None:
    if fault == "bad-json":
        await call.end(reply.opening + reply.tokens[0][: len(reply.tokens[0]) // 2] + b"\n\n")
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
        await call.send(pending)
        pending = b""
        await _wait(call, max(_TICK_SECONDS, begun + sent / rate - clock()))
    if fault == "reset-mid-stream":
        await call.send(pending)
        await _reset(call)
    await call.end(pending + reply.closing)


async def _vanish(call: HttpCall, fault: Fault) -> None:
    if fault.kind == "hang":
        await call.client_leaves()
    if fault.kind == "reset":
        await _reset(call)


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
