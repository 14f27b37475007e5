"""The hosts that the adapter serves at the moment.

Policy.  A host whose description did not change stays as it is, with its connections.  One that goes finishes what it
began, and is closed then.

The adapter's ASGI app: a chat completion comes in, and goes to the host whose name its path begins with.

Policy.  A request without the token of this run is refused before it is read.  What fails before the first part of an
answer is an error of its own status, so that the gateway can try another host; what fails later ends a stream with an
event that holds the error, and without `[DONE]`.  A client that leaves ends what was begun for it.

The process of the adapter: serves a socket that its parent opened, and does what its parent says.

The parent writes a line of JSON (`hosts.HOSTS`) to standard input for each change, and gets a line back once these
hosts are served: `{"error": null}`, or why they are not.  Keys go that way, so that they are in no file, argument or
environment.  The end of standard input is the end of the parent, and of this.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import signal
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

from corral.local.adapter import openai as sse
from corral.local.adapter.converse.bedrock import Bedrock, Threads
from corral.local.adapter.hosts import HOSTS, AdaptedHost, BedrockHost, Host
from corral.local.adapter.openai import ChatError, no_such_model
from corral.local.adapter.predictions.replicate import Replicate
from corral.local.adapter.requests import Asked, read
from corral.simulated.loopback import ProcessServer, settings


class Served:
    """Hosts by name."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._hosts: dict[str, Host] = {}
        self._busy: Counter[Host] = Counter()

    def find(self, name: str) -> Host | None:
        """The host of that name."""
        return self._hosts.get(name)

    @asynccontextmanager
    async def using(self, host: Host) -> AsyncGenerator[None]:
        """For the time of one request to it."""
        self._busy[host] += 1
        try:
            yield
        finally:
            self._busy[host] -= 1
            await self._close_if_done(host)

    async def replace(self, descriptions: Iterable[AdaptedHost]) -> None:
        """These, instead of the present ones.  Raises BotoCoreError or OSError; then the present ones stay."""
        former = self._hosts.values()
        self._hosts = {description.name: await self._host(description) for description in descriptions}
        for host in former:
            await self._close_if_done(host)

    async def close(self) -> None:
        """Ends them all."""
        await self.replace(())
        self._threads.close()

    async def _host(self, description: AdaptedHost) -> Host:
        present = self._hosts.get(description.name)
        if present is not None and present.description == description:
            return present
        if isinstance(description, BedrockHost):
            return await asyncio.to_thread(Bedrock, description, self._threads)
        return Replicate(description)

    async def _close_if_done(self, host: Host) -> None:
        if not self._busy[host]:
            del self._busy[host]
            if self._hosts.get(host.description.name) is not host:
                await host.close()


_ROUTE = "v1/chat/completions"


class Gone(Exception):  # noqa: N818 (nothing went wrong)
    """The client has left."""


class Adapter:
    """The app.  A request is finished by the host it began with."""

    def __init__(self, served: Served, token: str) -> None:
        self._served = served
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, route = str(scope["path"]).removeprefix("/").partition("/")
        answer = _Answer(name, send)
        try:
            host = self._host(scope, name, route)
            async with self._served.using(host):
                asked = read(await _body(receive))
                if asked.model not in host.description.models:
                    raise no_such_model(asked.model)
                await _unless_gone(receive, answer.stream(host, asked) if asked.stream else answer.whole(host, asked))
        except ChatError as error:
            await answer.error(error)
        except Gone:
            return
        except Exception as failure:
            # Its message may hold what was said; where it came from does not.
            trace = "".join(traceback.format_tb(failure.__traceback__))
            print(f"{type(failure).__name__}\n{trace}", file=sys.stderr)  # noqa: T201 (the parent keeps it)
            await answer.error(ChatError(500, "the adapter failed", type="server_error", code="adapter_failed"))

    def _host(self, scope: Scope, name: str, route: str) -> Host:
        given: bytes = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._wanted):
            raise ChatError(401, "the adapter's token is missing or wrong", code="invalid_api_key")
        host = self._served.find(name)
        if host is None:
            raise ChatError(404, "the adapter knows no such host", code="unknown_url")
        if route != _ROUTE:
            why = f"this host has no /{route}: it is asked through /{_ROUTE} alone"
            raise ChatError(404, why, code="unknown_url")
        if scope["method"] != "POST":
            raise ChatError(405, f"use POST, not {scope['method']}", code="method_not_allowed")
        return host


class _Answer:
    """What is sent to one client."""

    def __init__(self, host: str, send: Send) -> None:
        self._host = host
        self._send = send
        self._begun = False

    async def whole(self, host: Host, asked: Asked) -> None:
        """In one piece."""
        await self._json(200, await host.completion(asked))

    async def stream(self, host: Host, asked: Asked) -> None:
        """As server-sent events."""
        async with aclosing(host.chunks(asked)) as chunks:
            async for chunk in chunks:
                if not self._begun:
                    await self._begin(200, "text/event-stream; charset=utf-8", ("cache-control", "no-cache"))
                await self._more(sse.event(chunk))
        await self._end(sse.DONE)

    async def error(self, error: ChatError) -> None:
        """Instead of an answer, or of the rest of one."""
        if self._begun:
            await self._end(sse.event(error.body(self._host)))
            return
        more = [] if error.retry_after is None else [("retry-after", error.retry_after)]
        await self._json(error.status, error.body(self._host), *more)

    async def _json(self, status: int, said: object, *more: tuple[str, str]) -> None:
        body = json.dumps(said, separators=(",", ":")).encode()
        await self._begin(status, "application/json", ("content-length", str(len(body))), *more)
        await self._end(body)

    async def _begin(self, status: int, content_type: str, *more: tuple[str, str]) -> None:
        self._begun = True
        headers = [(name.encode(), value.encode()) for name, value in (("content-type", content_type), *more)]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _unless_gone(receive: Receive, answering: Coroutine[Any, Any, None]) -> None:
    """Answers, or stops answering when the client leaves.  Raises what answering raises, or Gone."""
    answer, gone = asyncio.create_task(answering), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Gone
        answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_LONGEST_LINE = 2**26
"""Bytes."""
_KEEP_ALIVE = 3600
"""Seconds an idle connection stays: Envoy closes it first, so that no close of ours crosses a request."""


def serve(listening: socket.socket, token: str) -> None:
    """Serves until SIGTERM or the end of standard input; cuts what is still open then."""
    served = Served()
    server = _Server(
        settings(Adapter(served, token), log_level="warning", timeout_keep_alive=_KEEP_ALIVE),
        served,
    )
    server.serve_until(listening, signal.SIGTERM)


class _Server(ProcessServer):
    """Listens to its parent."""

    def __init__(self, config: uvicorn.Config, served: Served) -> None:
        super().__init__(config)
        self._served = served
        self._listening: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes connections only once it has hosts: those that come before wait."""
        lines = asyncio.StreamReader(limit=_LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
        )
        await self._hear(lines)
        await super().startup(sockets)
        self._listening = asyncio.create_task(self._listen(lines))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._listening:
            self._listening.cancel()
        await super().shutdown(sockets)
        await self._served.close()

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        while not self.should_exit:
            await self._hear(lines)

    async def _hear(self, lines: asyncio.StreamReader) -> None:
        line = await lines.readline()
        if not line:
            self.should_exit = True
            return
        sys.stdout.write(json.dumps({"error": await self._replace(line)}) + "\n")
        sys.stdout.flush()

    async def _replace(self, line: bytes) -> str | None:
        """Why these hosts cannot be served; None: they are."""
        try:
            await self._served.replace(HOSTS.validate_json(line))
        except ValidationError as error:
            return f"the hosts are not described as they should be ({error.error_count()} errors)"
        except (BotoCoreError, OSError, ValueError) as error:
            return str(error)
        return None
