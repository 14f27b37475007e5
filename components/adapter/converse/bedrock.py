"""A Bedrock host, asked through boto3.

Policy.  Nothing is tried twice: the gateway does that, at another host if there is one.  Without a key of its own the
host is asked with what boto3 finds on this machine: environment, profile, single sign-on, the machine's role.  The
gateway's callers have no say in that.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

from components.adapter.asked import Asked
from components.adapter.chunks import Head, in_chunks
from components.adapter.converse.errors import FAILURES, chat_error
from components.adapter.converse.events import events
from components.adapter.converse.reply import answer_id, completion
from components.adapter.converse.request import converse
from components.adapter.converse.stream import Chunks
from components.adapter.converse.threads import MOST, Threads
from components.adapter.hosts import BedrockHost


class Bedrock:
    """See `host.Host`."""

    def __init__(self, description: BedrockHost, threads: Threads) -> None:
        """Blocks for the time that boto3 takes to read its own files.  Raises BotoCoreError."""
        self.description = description
        self._threads = threads
        self._client = _client(description)

    async def completion(self, asked: Asked) -> dict[str, Any]:
        request = converse(asked, self._model(asked).output)
        with self._threads.request():
            try:
                answer = await self._threads.run(self._client.converse, **request)
            except FAILURES as failure:
                raise chat_error(failure) from None
        return completion(answer, asked.model, int(time.time()))

    async def chunks(self, asked: Asked) -> AsyncGenerator[dict[str, Any]]:
        if not self._model(asked).streams(with_tools=bool(asked.tools)):
            for chunk in in_chunks(await self.completion(asked), wants_usage=asked.wants_usage):
                yield chunk
            return
        request = converse(asked, self._model(asked).output)
        with self._threads.request():
            try:
                async with aclosing(events(self._threads, self._client, request)) as stream:
                    head = Head(answer_id(await anext(stream)), asked.model, int(time.time()))
                    chunks = Chunks(head, wants_usage=asked.wants_usage)
                    async for event in stream:
                        for chunk in chunks.of(event):
                            yield chunk
                    chunks.end()
            except FAILURES as failure:
                raise chat_error(failure) from None

    async def close(self) -> None:
        self._client.close()

    def _model(self, asked: Asked) -> Any:
        return self.description.models[asked.model]


def _client(host: BedrockHost) -> Any:
    config = Config(
        connect_timeout=host.connect_timeout / 1000,
        read_timeout=host.idle_timeout / 1000,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=MOST,
        tcp_keepalive=True,
        # Named where there is a key: else a bearer token in the environment would go before it.
        signature_version="v4" if host.key else None,
        # A simulated host is on this machine, where no proxy stands between.
        proxies={} if host.key else None,
    )
    aws: Any = boto3.Session(
        region_name=host.region,
        aws_access_key_id=host.key.id if host.key else None,
        aws_secret_access_key=host.key.secret if host.key else None,
    )
    return aws.client("bedrock-runtime", endpoint_url=host.url, verify=host.ca, config=config)
