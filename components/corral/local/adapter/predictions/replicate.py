"""Replicate, asked over HTTP.

Policy.  A whole answer is waited for by the request that makes the prediction, for as long as a client that leaves may
cost at most; after that it is asked for again and again.  A stream is read from the address that the prediction names,
if it names one.  Whatever is not finished when the client leaves is cancelled.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from itertools import chain, repeat
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from corral.local.adapter import openai as sse
from corral.local.adapter.hosts import ReplicateHost
from corral.local.adapter.openai import ChatError, bad_answer, in_chunks
from corral.local.adapter.predictions.reply import (
    ENDED,
    Prediction,
    completion,
    finish,
    head,
    refusal,
    tokens,
    unreached,
)
from corral.local.adapter.predictions.request import limit, prediction_input
from corral.local.adapter.requests import Asked

_WAIT: Final = 5
"""Seconds; Replicate waits for 60 at most."""
_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds before each further question whether a prediction has ended, the last again and again: an account may ask
3,000 a minute."""


class Replicate:
    """See `host.Host`."""

    def __init__(self, description: ReplicateHost) -> None:
        """Raises OSError for a file of certificates that cannot be read."""
        self.description = description
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {description.key}"},
            timeout=httpx.Timeout(description.idle_timeout / 1000, connect=description.connect_timeout / 1000),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            verify=ssl.create_default_context(cafile=description.ca) if description.ca else True,
            trust_env=not _here(description.url),
        )
        self._cancelling: set[asyncio.Task[None]] = set()

    async def completion(self, asked: Asked) -> dict[str, Any]:
        prediction = await self._create(asked, wait=True)
        try:
            pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
            while prediction["status"] not in ENDED:
                await asyncio.sleep(next(pauses))
                prediction = await self._send("GET", prediction["urls"]["get"])
        except (asyncio.CancelledError, ChatError):
            self._cancel(prediction)
            raise
        return completion(prediction, asked.model, self._limit(asked), int(time.time()))

    async def chunks(self, asked: Asked) -> AsyncGenerator[dict[str, Any]]:
        if self.description.models[asked.model].streaming is False:
            for chunk in in_chunks(await self.completion(asked), wants_usage=asked.wants_usage):
                yield chunk
            return
        prediction = await self._create(asked, wait=False)
        done = False
        try:
            said = head(prediction, asked.model, int(time.time()))
            async with aclosing(self._output(prediction)) as texts:
                first = await anext(texts, None)
                yield said.chunk({"role": "assistant", "content": ""})
                if first is not None:
                    yield said.chunk({"content": first})
                async for text in texts:
                    yield said.chunk({"content": text})
            done = True
        finally:
            if not done:
                self._cancel(prediction)
        counted = tokens(await self._send("GET", prediction["urls"]["get"]))
        yield said.chunk({}, finish(counted, self._limit(asked)))
        if asked.wants_usage and counted:
            yield said.usage(counted)

    async def close(self) -> None:
        await self._client.aclose()

    def _limit(self, asked: Asked) -> int:
        return limit(asked, self.description.models[asked.model].output)

    async def _create(self, asked: Asked, *, wait: bool) -> Prediction:
        """A new prediction.  Who is cancelled meanwhile leaves it to be cancelled in its turn."""
        given = {"input": prediction_input(asked, self.description.models[asked.model].output)}
        url = f"{self.description.url}/models/{asked.model}/predictions"
        prefer = {"prefer": f"wait={_WAIT}"} if wait else {}
        creating = asyncio.create_task(self._send("POST", url, json=given, headers=prefer))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            creating.add_done_callback(self._cancel_created)
            raise

    async def _output(self, prediction: Prediction) -> AsyncGenerator[str]:
        """The pieces of its output as they come.  Raises ChatError."""
        url = prediction["urls"].get("stream")
        if url is None:
            raise bad_answer("the prediction names no address of a stream")
        try:
            async with self._client.stream("GET", url, headers={"accept": "text/event-stream"}) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise refusal(response)
                async with aclosing(sse.events(response.aiter_bytes())) as events:
                    async for event in events:
                        if event.name == "output":
                            yield event.data
                        elif event.name == "error":
                            raise bad_answer(f"the prediction failed: {_of(event, 'detail')}")
                        elif event.name == "done":
                            if reason := _of(event, "reason"):
                                raise bad_answer(f"the prediction ended early: {reason}")
                            return
        except httpx.HTTPError as failure:
            raise unreached(failure) from None
        raise bad_answer("the stream broke off")

    async def _send(self, method: str, url: str, **said: Any) -> Prediction:
        try:
            response = await self._client.request(method, url, **said)
        except httpx.HTTPError as failure:
            raise unreached(failure) from None
        if response.status_code >= 400:
            raise refusal(response)
        prediction = _object(response.content)
        urls = prediction.get("urls")
        if (
            not {"id", "status"} <= prediction.keys()
            or not isinstance(urls, dict)
            or not {"get", "cancel"} <= urls.keys()
        ):
            raise bad_answer("its answer is no prediction")
        return prediction

    def _cancel_created(self, creating: asyncio.Task[Prediction]) -> None:
        if not creating.cancelled() and creating.exception() is None:
            self._cancel(creating.result())

    def _cancel(self, prediction: Prediction) -> None:
        """Cancels it, unless it has ended; nobody waits for that."""
        if prediction["status"] not in ENDED:
            task = asyncio.create_task(self._cancelled(prediction["urls"]["cancel"]))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)

    async def _cancelled(self, url: str) -> None:
        with suppress(ChatError):
            await self._send("POST", url)


def _here(url: str) -> bool:
    """Whether it is on this machine, where no proxy stands between."""
    return urlsplit(url).hostname == "127.0.0.1"


def _of(event: sse.Event, key: str) -> str:
    """A value of an event's JSON, or nothing."""
    return str(_object(event.data).get(key) or "")


def _object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        said: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}
