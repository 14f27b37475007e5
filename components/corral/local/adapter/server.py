"""The process of the adapter: serves chat completions on a socket that its parent opened, for hosts that it names.

A chat completion comes in, and goes to the host whose name its path begins with.  A request without the token of this
run is refused before it is read.  What fails before the first part of an answer is an error of its own status, so that
the gateway can try another host; what fails later ends a stream with an event that holds the error, and without
`[DONE]`.  A client that leaves ends what was begun for it.

The parent names the hosts in lines of JSON (`hosts.HOSTS`), see `ProcessServer`.  A host whose description did not
change stays as it is, with its connections; one that goes finishes what it began, and is closed then.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import sys
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import uvicorn
from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from corral.local.adapter.bedrock import Bedrock, Threads
from corral.local.adapter.hosts import HOSTS, AdaptedHost, BedrockHost, HostClient
from corral.local.adapter.openai import ChatError
from corral.local.adapter.replicate import Replicate
from corral.local.adapter.requests import ChatRequest
from corral.simulated.loopback import ProcessServer, settings
from corral.simulated.shapes import DONE, event, to_json


class Clients:
    """The clients of the hosts, by name."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._clients: dict[str, HostClient] = {}
        self._busy: Counter[HostClient] = Counter()

    def get(self, name: str) -> HostClient | None:
        """The client of the host of that name."""
        return self._clients.get(name)

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


class ClientLeft(Exception):  # noqa: N818 (nothing went wrong)
    """The client has left."""


class Adapter:
    """The ASGI app.  A request is finished by the host it began with."""

    def __init__(self, clients: Clients, token: str) -> None:
        self._clients = clients
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, route = str(scope["path"]).removeprefix("/").partition("/")
        answer = _Answer(name, send)
        try:
            client = self._client(scope, name, route)
            async with self._clients.using(client):
                request = ChatRequest.read(await _body(receive))
                if request.model not in client.host.models:
                    why = f"there is no model {request.model!r} here"
                    raise ChatError(404, why, "model_not_found", "model")
                await _unless_gone(receive, (answer.stream if request.stream else answer.whole)(client, request))
        except ChatError as error:
            await answer.error(error)
        except ClientLeft:
            return
        except Exception as failure:
            # Its message may hold a part of the request; where it came from does not.
            trace = "".join(traceback.format_tb(failure.__traceback__))
            print(f"{type(failure).__name__}\n{trace}", file=sys.stderr)  # noqa: T201 (the parent keeps it)
            await answer.error(ChatError(500, "the adapter failed", "adapter_failed"))

    def _client(self, scope: Scope, name: str, route: str) -> HostClient:
        shown: bytes = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(shown, self._wanted):
            raise ChatError(401, "the adapter's token is missing or wrong", "invalid_api_key")
        client = self._clients.get(name)
        if client is None:
            raise ChatError(404, "the adapter knows no such host", "unknown_url")
        if route != _ROUTE:
            why = f"this host has no /{route}: it is asked through /{_ROUTE} alone"
            raise ChatError(404, why, "unknown_url")
        if scope["method"] != "POST":
            raise ChatError(405, f"use POST, not {scope['method']}", "method_not_allowed")
        return client


class _Answer:
    """The answer to one client."""

    def __init__(self, host: str, send: Send) -> None:
        self._host = host
        self._send = send
        self._begun = False

    async def whole(self, client: HostClient, request: ChatRequest) -> None:
        """Answers in one piece."""
        await self._json(200, await client.completion(request))

    async def stream(self, client: HostClient, request: ChatRequest) -> None:
        """Answers with server-sent events."""
        async with aclosing(client.chunks(request)) as chunks:
            async for chunk in chunks:
                if not self._begun:
                    await self._begin(200, "text/event-stream; charset=utf-8", ("cache-control", "no-cache"))
                await self._body(event(chunk), more=True)
        await self._body(DONE, more=False)

    async def error(self, error: ChatError) -> None:
        """Answers with an error, or ends with it what has begun."""
        if self._begun:
            await self._body(event(error.body(self._host)), more=False)
            return
        headers = [] if error.retry_after is None else [("retry-after", error.retry_after)]
        await self._json(error.status, error.body(self._host), *headers)

    async def _json(self, status: int, value: object, *headers: tuple[str, str]) -> None:
        body = to_json(value)
        await self._begin(status, "application/json", ("content-length", str(len(body))), *headers)
        await self._body(body, more=False)

    async def _begin(self, status: int, content_type: str, *headers: tuple[str, str]) -> None:
        self._begun = True
        encoded = [(name.encode(), value.encode()) for name, value in (("content-type", content_type), *headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _unless_gone(receive: Receive, answering: Coroutine[Any, Any, None]) -> None:
    """Answers, or stops answering when the client leaves.  Raises what answering raises, or ClientLeft."""
    answer, gone = asyncio.create_task(answering), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientLeft
        answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_KEEP_ALIVE_SECONDS = 3600
"""How long an idle connection stays: Envoy closes it first, so that no close of ours crosses a request."""


def serve(listening: socket.socket, token: str) -> None:
    """Serves until a signal, or until the parent has ended; cuts what is still open then."""
    clients = Clients()
    config = settings(Adapter(clients, token), log_level="warning", timeout_keep_alive=_KEEP_ALIVE_SECONDS)
    _Server(config, clients).serve_until_ended(listening)


class _Server(ProcessServer):
    def __init__(self, config: uvicorn.Config, clients: Clients) -> None:
        super().__init__(config)
        self._clients = clients

    async def replace(self, line: bytes) -> str | None:
        try:
            await self._clients.replace(HOSTS.validate_json(line))
        except ValidationError as error:
            return f"the hosts are not described as they should be ({error.error_count()} errors)"
        except (BotoCoreError, OSError, ValueError) as error:
            return str(error)
        return None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._clients.close()
