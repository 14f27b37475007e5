"""Replicate, asked over HTTP, and what it refuses as errors of OpenAI's shape.

Policy.  A whole answer is waited for by the request that makes the prediction, for as long as a client that leaves may
cost at most; after that it is asked for again and again.  A stream is read from the address that the prediction names,
if it names one.  Whatever is not finished when the client leaves is cancelled.

Errors.  Its own are `{"detail": ...}`.  An account without credit (402) is out of quota as OpenAI has it (429), so that
another host is tried; an input that the model does not take (422) is 400.  When it throttles it may name the seconds in
its text alone.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import chain, repeat
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from corral.hosts.adapted.description import ReplicateHost
from corral.local.adapter.openai import FIRST_DELTA, ChatError, bad_answer, no_answer, read_events
from corral.local.adapter.predictions import (
    ENDED,
    Prediction,
    completion,
    finish_reason,
    head,
    limit,
    prediction_input,
    tokens,
)
from corral.local.adapter.requests import ChatRequest

_WAIT_SECONDS: Final = 5
"""Replicate waits for 60 at most."""
_POLL_SECONDS: Final = (0.5, 1.0, 2.0)
"""The pauses between questions whether a prediction has ended, the last again and again: an account may ask 3,000
times a minute."""

_STATUS: Final = {402: 429, 422: 400}
_CODES: Final = {402: "insufficient_quota", 404: "model_not_found", 429: "rate_limit_exceeded"}
_RESET_TEXT: Final = re.compile(r"resets in ~(\d+)s")


def refusal(response: httpx.Response) -> ChatError:
    """The error for an answer of 400 or more."""
    detail = str(_object(response.content).get("detail") or "")
    reset = _RESET_TEXT.search(detail)
    return ChatError(
        _STATUS.get(response.status_code, response.status_code),
        detail or f"it answers {response.status_code}",
        _CODES.get(response.status_code),
        retry_after=response.headers.get("retry-after") or (reset[1] if reset else None),
    )


def unreached(failure: httpx.HTTPError) -> ChatError:
    """The error where there is no answer."""
    return no_answer(failure, timeout=isinstance(failure, httpx.TimeoutException))


class Replicate:
    """A client of one host, see `server.HostClient`."""

    def __init__(self, host: ReplicateHost) -> None:
        """Raises OSError for a file of certificates that cannot be read."""
        self.host = host
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {host.key}"},
            timeout=httpx.Timeout(host.idle_timeout / 1000, connect=host.connect_timeout / 1000),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            verify=ssl.create_default_context(cafile=host.ca) if host.ca else True,
            # A simulated host is on this machine, where no proxy stands between.
            trust_env=urlsplit(host.url).hostname != "127.0.0.1",
        )
        self._cancelling: set[asyncio.Task[None]] = set()

    async def completion(self, request: ChatRequest) -> dict[str, Any]:
        prediction = await self._create(request, {"prefer": f"wait={_WAIT_SECONDS}"})
        try:
            pauses = chain(_POLL_SECONDS, repeat(_POLL_SECONDS[-1]))
            while prediction["status"] not in ENDED:
                await asyncio.sleep(next(pauses))
                prediction = await self._send("GET", prediction["urls"]["get"])
        except (asyncio.CancelledError, ChatError):
            self._cancel(prediction)
            raise
        return completion(prediction, request.model, self._limit(request), int(time.time()))

    async def chunks(self, request: ChatRequest) -> AsyncGenerator[dict[str, Any]]:
        prediction = await self._create(request, {})
        answer = head(prediction, request.model, int(time.time()))
        try:
            async with aclosing(self._output(prediction)) as texts:
                first = await anext(texts, None)
                yield answer.chunk(FIRST_DELTA)
                if first is not None:
                    yield answer.chunk({"content": first})
                async for text in texts:
                    yield answer.chunk({"content": text})
        except BaseException:
            self._cancel(prediction)
            raise
        counted = tokens(await self._send("GET", prediction["urls"]["get"]))
        yield answer.chunk({}, finish_reason(counted, self._limit(request)))
        if request.wants_usage and counted:
            yield answer.usage(counted)

    async def close(self) -> None:
        await self._client.aclose()

    def _limit(self, request: ChatRequest) -> int:
        return limit(request, self.host.models[request.model].output)

    async def _create(self, request: ChatRequest, headers: Mapping[str, str]) -> Prediction:
        """A new prediction.  Who is cancelled meanwhile leaves it to be cancelled in its turn."""
        body = {"input": prediction_input(request, self.host.models[request.model].output)}
        url = f"{self.host.url}/models/{request.model}/predictions"
        creating = asyncio.create_task(self._send("POST", url, body, headers))
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
                async with aclosing(read_events(response.aiter_bytes())) as events:
                    async for event in events:
                        if event.name == "output":
                            yield event.data
                        elif event.name == "error":
                            raise bad_answer(f"the prediction failed: {_object(event.data).get('detail') or ''}")
                        elif event.name == "done":
                            if reason := _object(event.data).get("reason"):
                                raise bad_answer(f"the prediction ended early: {reason}")
                            return
        except httpx.HTTPError as failure:
            raise unreached(failure) from None
        raise bad_answer("the stream broke off")

    async def _send(
        self, method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Prediction:
        try:
            response = await self._client.request(method, url, json=body, headers=headers)
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


def _object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
