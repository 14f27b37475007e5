"""The process of the adapter: serves chat completions on a socket that its parent opened, for hosts that it names.

A chat completion comes in, and goes to the host whose name its path begins with.  A request without the token of this
run is refused before it is read.  What fails before the first part of an answer is an error of its own status, so that
the gateway can try another host; what fails later ends a stream with an event that holds the error, and without
`[DONE]`.  A client that leaves ends what was begun for it.

The parent names the hosts in lines of JSON (`description.HOSTS`), see `ProcessServer`.  A host whose description did
not change stays as it is, with its connections; one that goes finishes what it began, and is closed then.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Protocol

from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from corral.hosts.adapted.description import HEALTH_PATH, HOSTS, AdaptedHost, BedrockHost, Limits
from corral.local.adapter.bedrock import Bedrock, Threads
from corral.local.adapter.openai import UNSUPPORTED, ChatError, in_chunks
from corral.local.adapter.replicate import Replicate
from corral.local.adapter.requests import ChatRequest
from corral.plan.failover import UNSUPPORTED_HEADER
from corral.simulated.loopback import BodyTooLargeError, ClientLeftError, HttpCall, ProcessServer
from corral.simulated.shapes import DONE, event, to_json


class HostClient(Protocol):
    """A client of one host.

    `completion` is a chat completion, `chunks` are those of one.  Both raise ChatError; `chunks` the first time before
    any chunk.  Whoever cancels a request, or closes a stream, ends it at the host too, as far as the host's protocol
    lets him.
    """

    @property
    def host(self) -> AdaptedHost: ...

    async def completion(self, request: ChatRequest) -> dict[str, Any]: ...

    def chunks(self, request: ChatRequest) -> AsyncGenerator[dict[str, Any]]: ...

    async def close(self) -> None: ...


class Clients:
    """The clients of the hosts, by name."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._clients: dict[str, HostClient] = {}
        self._busy: Counter[HostClient] = Counter()

    def get(self, name: str) -> HostClient | None:
        """The client of the host of that name."""
        return self._clients.get(name)

    @property
    def under_way(self) -> int:
        """Requests to all of them."""
        return self._busy.total()

    @asynccontextmanager
    async def using(self, client: HostClient) -> AsyncGenerator[None]:
        """For the time of one request to its host."""
        self._busy[client] += 1
        try:
            yield
        finally:
            self._busy[client] -= 1
            await self._close_if_done(client)

    async def replace(self, hosts: Iterable[AdaptedHost]) -> None:
        """Serves these, instead of the present ones.  Raises BotoCoreError or OSError; then the present ones stay."""
        former = self._clients.values()
        self._clients = {host.name: await self._client(host) for host in hosts}
        for client in former:
            await self._close_if_done(client)

    async def close(self) -> None:
        """Ends them all."""
        await self.replace(())
        self._threads.close()

    async def _client(self, host: AdaptedHost) -> HostClient:
        present = self._clients.get(host.name)
        if present is not None and present.host == host:
            return present
        if isinstance(host, BedrockHost):
            return await asyncio.to_thread(Bedrock, host, self._threads)
        return Replicate(host)

    async def _close_if_done(self, client: HostClient) -> None:
        if not self._busy[client]:
            del self._busy[client]
            if self._clients.get(client.host.name) is not client:
                await client.close()


_ROUTE = "v1/chat/completions"

_MOVES_ON_STATUS: Final = 424
"""By which the gateway of a cluster asks another host (`failover.INCAPABLE_STATUS`)."""


class Adapter:
    """The ASGI app.  A request is finished by the host it began with."""

    def __init__(self, clients: Clients, token: str, limits: Limits | None = None) -> None:
        self._clients = clients
        self.token = token
        self.limits = limits
        """None: what stands before it has limits of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = HttpCall(scope, receive, send)
        if scope["path"] == HEALTH_PATH:
            await call.answer(200, b"{}")
            return
        limits = self.limits
        name, _, route = str(scope["path"]).removeprefix("/").partition("/")
        try:
            client = self._client(call, name, route)
            if limits and self._clients.under_way >= limits.concurrent:
                raise ChatError(503, f"{limits.concurrent} requests are under way to it already", "overloaded")
            async with self._clients.using(client):
                request = ChatRequest.read(await call.body(limits and limits.body))
                if request.model not in client.host.models:
                    why = f"there is no model {request.model!r} here"
                    raise ChatError(404, why, "model_not_found", "model")
                try:
                    await _unless_client_leaves(call, _answer(call, client, request))
                except ChatError as error:
                    if error.code == UNSUPPORTED and client.host.models[request.model].moves_on:
                        error.status = _MOVES_ON_STATUS
                    raise
        except BodyTooLargeError as error:
            await _refuse(call, name, ChatError(413, str(error), "request_too_large"))
        except ChatError as error:
            await _refuse(call, name, error)
        except ClientLeftError:
            return
        except Exception as failure:
            # Its message may hold a part of the request; where it came from does not.
            trace = "".join(traceback.format_tb(failure.__traceback__))
            print(f"{type(failure).__name__}\n{trace}", file=sys.stderr)  # noqa: T201 (the parent keeps it)
            await _refuse(call, name, ChatError(500, "the adapter failed", "adapter_failed"))

    def _client(self, call: HttpCall, name: str, route: str) -> HostClient:
        if not call.shows(self.token):
            raise ChatError(401, "the adapter's token is missing or wrong", "invalid_api_key")
        client = self._clients.get(name)
        if client is None:
            raise ChatError(404, "the adapter knows no such host", "unknown_url")
        if route != _ROUTE:
            why = f"this host has no /{route}: it is asked through /{_ROUTE} alone"
            raise ChatError(404, why, "unknown_url")
        if call.scope["method"] != "POST":
            raise ChatError(405, f"use POST, not {call.scope['method']}", "method_not_allowed")
        return client


async def _answer(call: HttpCall, client: HostClient, request: ChatRequest) -> None:
    if not request.stream:
        await call.answer(200, to_json(await client.completion(request)))
        return
    async with aclosing(_chunks(client, request)) as chunks:
        async for chunk in chunks:
            if not call.status:
                await call.begin(200, "text/event-stream; charset=utf-8", ("cache-control", "no-cache"))
            await call.send(event(chunk))
    await call.end(DONE)


async def _chunks(client: HostClient, request: ChatRequest) -> AsyncGenerator[dict[str, Any]]:
    """The chunks of an answer; of a whole one where the host cannot stream it."""
    if client.host.models[request.model].streams(with_tools=bool(request.tools)):
        async with aclosing(client.chunks(request)) as chunks:
            async for chunk in chunks:
                yield chunk
    else:
        for chunk in in_chunks(await client.completion(request), wants_usage=request.wants_usage):
            yield chunk


async def _refuse(call: HttpCall, host: str, error: ChatError) -> None:
    """Answers with an error, or ends with it the stream that has begun."""
    body = error.body(host)
    if call.status:
        await call.end(event(body))
        return
    headers = [] if error.retry_after is None else [("retry-after", error.retry_after)]
    if error.code == UNSUPPORTED and error.param:
        headers.append((UNSUPPORTED_HEADER, error.param))
    await call.answer(error.status, to_json(body), *headers)


async def _unless_client_leaves(call: HttpCall, answering: Coroutine[Any, Any, None]) -> None:
    """Answers, or stops answering when the client leaves.  Raises what answering raises, or ClientLeftError."""
    tasks = asyncio.create_task(answering), asyncio.create_task(call.client_leaves())
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        (tasks[0] if tasks[0] in done else tasks[1]).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def serve(listening: socket.socket, token: str) -> None:
    """Serves until a signal, or until the parent has ended; cuts what is still open then."""
    clients = Clients()

    async def replace(line: bytes) -> str | None:
        try:
            await clients.replace(HOSTS.validate_json(line))
        except ValidationError as error:
            return f"the hosts are not described as they should be ({error.error_count()} errors)"
        except (BotoCoreError, OSError, ValueError) as error:
            return str(error)
        return None

    ProcessServer(Adapter(clients, token), replace, clients.close).serve_until_ended(listening)
