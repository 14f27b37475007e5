"""The far side of every measurement: hosts that answer at once, one process for all, a port for each.

    python -m bench.hosts NAME=PORT...

A streamed answer begins at once; one event follows every `PAUSE` seconds.  A request that carries a key must carry this
host's, and name the model as this host does: a gateway that does not translate fails and is not measured as fast.  A
bare Envoy translates nothing, so its requests carry no key.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httptools
import httpx
import uvloop

from bench.process import THIS_TREE, listens, running
from corral.local.envoy_process import claim_port

EVENTS, PAUSE = 20, 0.01
"""Of a streamed answer; seconds between two."""

_WORDS = ["Paris", *(" and" for _ in range(EVENTS - 2)), "."]
_HEAD = {"id": "chatcmpl-1", "created": 0, "model": "m"}
_WHOLE = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26},
    }
).encode()


def key(name: str) -> str:
    """The key a host wants."""
    return f"key-of-{name}"


def model_id(name: str, model: str) -> str:
    """A host's own id of a model."""
    return f"{name}/{model}"


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _refusal(status: str) -> bytes:
    return _response(status, json.dumps({"error": {"message": status, "type": "invalid_request_error"}}).encode())


def _event(delta: Mapping[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({**_HEAD, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def _chunks(events: Iterable[str]) -> list[bytes]:
    return [f"{len(event):x}\r\n{event}\r\n".encode() for event in events]


_ANSWER = _response("200 OK", _WHOLE)
_COUNTS = "/counts"
"""The path that answers how many requests each host got."""
_MODELS = {"object": "list", "data": [{"id": "llama-3.3-70b", "object": "model", "owned_by": "vllm"}]}
"""What a router that looks at its hosts reads, at whatever path."""
_NO_KEY, _NO_MODEL = _refusal("401 Unauthorized"), _refusal("404 Not Found")
_STREAM = _chunks(
    [
        *(_event({"role": "assistant", "content": text}, None) for text in _WORDS),
        _event({}, "stop") + "data: [DONE]\n\n",
    ]
)
_STREAM[0] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + _STREAM[0]
_STREAM[-1] += b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One kept connection to one host."""

    def __init__(self, name: str, counts: dict[str, int]) -> None:
        self._name, self._counts = name, counts
        self._key, self._id = f"Bearer {key(name)}".encode(), f'"{model_id(name, "")}'.encode()
        self._parser = httptools.HttpRequestParser(self)
        self._sent_key: bytes | None = None
        self._path, self._body = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._sent_key = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._answer(self._sent_key, self._body)
        self._sent_key, self._body = None, b""

    def _answer(self, sent_key: bytes | None, body: bytes) -> None:
        if self._parser.get_method() == b"GET":
            answer = self._counts if self._path == _COUNTS.encode() else _MODELS
            self._transport.write(_response("200 OK", json.dumps(answer).encode()))
            return
        self._counts[self._name] += 1
        if sent_key not in (None, self._key):
            self._transport.write(_NO_KEY)
        elif sent_key and self._id not in body:
            self._transport.write(_NO_MODEL)
        elif b'"stream":true' in body.replace(b" ", b""):
            self._stream(0)
        else:
            self._transport.write(_ANSWER)

    def _stream(self, event: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_STREAM[event])
        if event + 1 < len(_STREAM):
            asyncio.get_running_loop().call_later(PAUSE, self._stream, event + 1)


async def _serve(ports: Mapping[str, int]) -> None:
    loop = asyncio.get_running_loop()
    counts = dict.fromkeys(ports, 0)
    for name, port in ports.items():
        await loop.create_server(lambda name=name: _Connection(name, counts), "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Hosts:
    """The hosts that are running."""

    ports: Mapping[str, int]

    def url(self, name: str) -> str:
        """The URL in front of `/chat/completions`."""
        return f"http://127.0.0.1:{self.ports[name]}/v1"

    def requests(self) -> dict[str, int]:
        """Per host the requests it got so far."""
        port = next(iter(self.ports.values()))
        answer: Any = httpx.get(f"http://127.0.0.1:{port}{_COUNTS}", trust_env=False).json()
        return answer


@asynccontextmanager
async def answering(names: Iterable[str], folder: Path) -> AsyncGenerator[Hosts]:
    """Runs a host of each name."""
    ports = {name: claim_port("127.0.0.1", 0) for name in names}
    command = (sys.executable, "-m", "bench.hosts", *(f"{name}={port}" for name, port in ports.items()))
    async with running("hosts", command, folder, lambda: all(map(listens, ports.values())), variables=THIS_TREE):
        yield Hosts(ports)


def main() -> None:
    """Serves until it is ended."""
    named = (argument.split("=") for argument in sys.argv[1:])
    uvloop.run(_serve({name: int(port) for name, port in named}))


if __name__ == "__main__":
    main()
