"""Replicate's predictions: what is asked of one, and what becomes of it.

A prediction's answer is counted once: with the request that was told it first, or, as far as it was sent, with the
stream.  The making of a prediction that is not waited for counts its prompt.

Replicate's protocol: predictions.  replicate.com/docs/reference/http.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, SkipValidation

from corral.simulated.hosts import SimulatedHost
from corral.simulated.openai import locked
from corral.simulated.requests import (
    Asked,
    Limit,
    Refusal,
    Reply,
    Request,
    Said,
    Streamed,
    Text,
    Whole,
    no_path,
    not_json,
    to_json,
    wrong_method,
)
from corral.simulated.simulation import Simulation
from corral.simulated.tokens import count

_KEPT = 10_000
"""Predictions."""

_MARKS = re.compile(r"<\|start_header_id\|>\w+<\|end_header_id\|>|<\|\w+\|>")
"""What bounds the turns of a prompt in Llama's own form; it counts nothing."""

State = Literal["processing", "succeeded", "canceled"]


class Prediction:
    """One prediction; it ends by itself, at the speed of its host."""

    def __init__(self, text: Text, prompt: int, model: str, base_url: str, rate: int | None) -> None:
        self.id = uuid.uuid4().hex[:26]
        self.text = text
        self.model = model
        self.prompt_tokens = prompt
        self.seconds = len(text.tokens) / rate if rate else 0.0
        """How long it takes."""
        self._url = f"{base_url}/predictions/{self.id}"
        self._begun = time.monotonic()
        self._canceled = False
        self._told = False

    @property
    def state(self) -> State:
        """Its state now."""
        if self._canceled:
            return "canceled"
        return "succeeded" if time.monotonic() - self._begun >= self.seconds else "processing"

    def cancel(self) -> None:
        """Ends it, unless it has ended."""
        self._canceled = self.state != "succeeded"

    def told(self) -> int:
        """The tokens of the answer, if nobody was told it before."""
        first, self._told = not self._told, True
        return len(self.text.tokens) if first else 0

    def said(self, state: State) -> bytes:
        """Its JSON in this state."""
        done = state == "succeeded"
        counted = {"input_token_count": self.prompt_tokens, "output_token_count": len(self.text.tokens)}
        return to_json(
            {
                "id": self.id,
                "model": self.model,
                "version": "hidden",
                "status": state,
                "input": {},
                "output": list(self.text.tokens) if done else None,
                "error": None,
                "logs": "",
                "metrics": counted if done else {},
                "urls": {"get": self._url, "cancel": f"{self._url}/cancel", "stream": f"{self._url}/stream"},
            }
        )


class Predictions:
    """The latest predictions, by id."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Prediction] = OrderedDict()

    def add(self, prediction: Prediction) -> None:
        """Keeps one more, and forgets the oldest."""
        self._made[prediction.id] = prediction
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)

    def find(self, name: str) -> Prediction | None:
        """The prediction of that id."""
        return self._made.get(name)


class Input(BaseModel):
    """A model's input; what else there is, is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: str
    max_tokens: Limit | None = None


class PredictionRequest(Asked):
    """A prediction that is to be made; `model` is in the path, the rest of what is not in the body in the headers."""

    input: Input
    base_url: str
    rate: int | None
    wait: float
    """Seconds in which to wait for its end; 0: not at all."""
    predictions: SkipValidation[Predictions]

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def reply(self, host: str) -> Reply:
        prompt = _MARKS.sub("", self.input.prompt)
        text = self.text(host, _said_last(prompt), self.input.max_tokens)
        made = Prediction(text, count(prompt), self.model, self.base_url, self.rate)
        self.predictions.add(made)
        if not self.wait or made.seconds > self.wait:
            return Whole(made.said("processing"), made.prompt_tokens, 0, status=201, seconds=self.wait)
        return Whole(made.said("succeeded"), made.prompt_tokens, made.told(), status=201)


class OfPrediction(Asked):
    """Something that is asked of a prediction there is."""

    prediction: SkipValidation[Prediction]
    what: Literal["get", "cancel", "stream"]

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def reply(self, host: str) -> Reply:  # noqa: ARG002 (its answer was made before)
        made = self.prediction
        if self.what == "stream":
            made.told()
            return Streamed(b"", tuple(_outputs(made.text)), _event("done", "{}"), 0)
        if self.what == "cancel":
            made.cancel()
        state = made.state
        return Whole(made.said(state), 0, made.told() if state == "succeeded" else 0, seconds=0)


def _said_last(prompt: str) -> str:
    """The last line that is no invitation to answer."""
    return prompt.removesuffix("Assistant:").strip().rpartition("\n")[2]


def _outputs(text: Text) -> Iterator[bytes]:
    for number, said in enumerate(text.tokens):
        yield f"id: {number}\n".encode() + _event("output", said)


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\n{lines}\n".encode()


_MAKE: Final = re.compile(r"/models/(?P<model>[^/]+/[^/]+)/predictions")
_ONE: Final = re.compile(r"/predictions/(?P<id>[^/]+)(/(?P<what>cancel|stream))?")
_WAIT: Final = re.compile(r"wait(=(?P<seconds>\d+))?")
_LONGEST: Final = 60.0
"""Seconds that Replicate waits for the end of a prediction, where no other number is said."""


class Replicate:
    """See `dialect.Dialect`."""

    id_header = "x-request-id"

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._predictions = Predictions()

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        if make := _MAKE.fullmatch(request.route or ""):
            return self._make(host, request, make["model"]) if request.method == "POST" else wrong_method(request)
        one = _ONE.fullmatch(request.route or "")
        prediction = self._predictions.find(one["id"]) if one else None
        if one is None or prediction is None:
            return no_path(request, f"predictions are made at {host.prefix}/models/<owner>/<name>/predictions")
        what = one["what"] or "get"
        if request.method != ("POST" if what == "cancel" else "GET"):
            return wrong_method(request)
        return OfPrediction.of({"model": prediction.model, "prediction": prediction, "what": what})

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        return locked(host, request)

    def said(self, refusal: Refusal, host: str) -> Said:
        detail = f"{host} (simulated): {refusal.message}"
        more = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
        return Said(refusal.status, to_json({"detail": detail, "status": refusal.status}), more)

    def _make(self, host: SimulatedHost, request: Request, model: str) -> PredictionRequest | Refusal:
        try:
            said: object = json.loads(request.body)
        except ValueError as error:
            return not_json(str(error))
        wait = _WAIT.fullmatch(request.header("prefer"))
        return PredictionRequest.of(
            (cast("dict[str, Any]", said) if isinstance(said, dict) else {})
            | {
                "model": model,
                "base_url": f"http://{request.header('host')}{host.prefix}",
                "rate": self._simulation.speed(host).tokens_per_second,
                "wait": float(wait["seconds"] or _LONGEST) if wait else 0.0,
                "predictions": self._predictions,
            }
        )
