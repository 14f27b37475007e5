"""Replicate's protocol at a stand-in: predictions (replicate.com/docs/reference/http).

A prediction's answer is counted once: with the request that was first given it, or, as far as it was sent, with the
stream.  The making of a prediction that is not waited for counts its prompt.
"""

from __future__ import annotations

import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, SkipValidation

from corral.simulated.hosts import SimulatedHost
from corral.simulated.requests import (
    Dialect,
    ErrorAnswer,
    HttpRequest,
    ModelRequest,
    Refusal,
    Reply,
    Streamed,
    Text,
    TokenLimit,
    Whole,
    count,
)
from corral.simulated.shapes import to_json
from corral.simulated.simulation import Simulation

_KEPT_PREDICTIONS = 10_000

_MARKS = re.compile(r"<\|start_header_id\|>\w+<\|end_header_id\|>|<\|\w+\|>")
"""The bounds of turns in a prompt of Llama's own form; they count nothing."""

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
        self._counted = False

    @property
    def state(self) -> State:
        """Its state now."""
        if self._canceled:
            return "canceled"
        return "succeeded" if time.monotonic() - self._begun >= self.seconds else "processing"

    def cancel(self) -> None:
        """Ends it, unless it has ended."""
        self._canceled = self.state != "succeeded"

    def count_answer(self) -> int:
        """The tokens of the answer the first time, 0 from then on."""
        first, self._counted = not self._counted, True
        return len(self.text.tokens) if first else 0

    def to_json(self, state: State) -> bytes:
        """Its JSON in this state."""
        done = state == "succeeded"
        metrics = {"input_token_count": self.prompt_tokens, "output_token_count": len(self.text.tokens)}
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
                "metrics": metrics if done else {},
                "urls": {"get": self._url, "cancel": f"{self._url}/cancel", "stream": f"{self._url}/stream"},
            }
        )


class Input(BaseModel):
    """A model's input; what else there is, is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: str
    max_tokens: TokenLimit | None = None
    stop_sequences: str | None = None
    """With commas between them."""


class NewPrediction(ModelRequest):
    """A prediction that is to be made; the body holds its input alone."""

    input: Input
    base_url: str
    rate: int | None
    wait_seconds: float
    """How long to wait for its end; 0: not at all."""
    keep: SkipValidation[Callable[[Prediction], None]]

    @property
    def stop_sequences(self) -> Sequence[str]:
        return (self.input.stop_sequences or "").split(",")

    def reply(self, host: str) -> Reply:
        prompt = _MARKS.sub("", self.input.prompt)
        # The last line that is no invitation to answer.
        last = prompt.removesuffix("Assistant:").strip().rpartition("\n")[2]
        text = self.text(host, [last], self.input.max_tokens)
        prompt_tokens = count(prompt)
        prediction = Prediction(text, prompt_tokens, self.model, self.base_url, self.rate)
        self.keep(prediction)
        if not self.wait_seconds or prediction.seconds > self.wait_seconds:
            return Whole(
                prediction.to_json("processing"), prediction.prompt_tokens, 0, status=201, seconds=self.wait_seconds
            )
        return Whole(prediction.to_json("succeeded"), prompt_tokens, prediction.count_answer(), status=201)


class PredictionRequest(ModelRequest):
    """A request about a prediction there is."""

    prediction: SkipValidation[Prediction]
    operation: str

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def reply(self, host: str) -> Reply:  # noqa: ARG002 (its answer was made before)
        prediction = self.prediction
        if self.operation == "stream":
            prediction.count_answer()
            return Streamed(b"", tuple(_outputs(prediction.text)), _event("done", "{}"), 0)
        if self.operation == "cancel":
            prediction.cancel()
        state = prediction.state
        answer = prediction.count_answer() if state == "succeeded" else 0
        return Whole(prediction.to_json(state), 0, answer, seconds=0)


def _outputs(text: Text) -> Iterator[bytes]:
    for number, token in enumerate(text.tokens):
        yield f"id: {number}\n".encode() + _event("output", token)


def _event(name: str, text: str) -> bytes:
    """A server-sent event with plain text."""
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"event: {name}\n{lines}\n".encode()


_NEW: Final = re.compile(r"/models/(?P<model>[^/]+/[^/]+)/predictions")
_ONE: Final = re.compile(r"/predictions/(?P<id>[^/]+)(/(?P<operation>cancel|stream))?")
_WAIT: Final = re.compile(r"wait(=(?P<seconds>\d+))?")
_LONGEST_WAIT_SECONDS: Final = 60.0
"""Replicate's own wait for the end of a prediction, where no other number is given."""


class Replicate(Dialect):
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._predictions: OrderedDict[str, Prediction] = OrderedDict()
        """The latest, by id."""

    def parse(self, host: SimulatedHost, request: HttpRequest) -> ModelRequest | Whole | Refusal:
        if new := _NEW.fullmatch(request.route or ""):
            return self._new(host, request, new["model"]) if request.method == "POST" else request.wrong_method()
        one = _ONE.fullmatch(request.route or "")
        prediction = self._predictions.get(one["id"]) if one else None
        if one is None or prediction is None:
            return request.unknown_path(f"predictions are made at {host.prefix}/models/<owner>/<name>/predictions")
        operation = one["operation"] or "get"
        if request.method != ("POST" if operation == "cancel" else "GET"):
            return request.wrong_method()
        return PredictionRequest(model=prediction.model, prediction=prediction, operation=operation)

    def error(self, refusal: Refusal, message: str) -> ErrorAnswer:
        return ErrorAnswer(refusal.status, to_json({"detail": message, "status": refusal.status}))

    def _new(self, host: SimulatedHost, request: HttpRequest, model: str) -> NewPrediction | Refusal:
        wait = _WAIT.fullmatch(request.headers.get("prefer", ""))
        return NewPrediction.read(
            request.body,
            model=model,
            base_url=f"http://{request.headers.get('host', '')}{host.prefix}",
            rate=self._simulation.speed(host).tokens_per_second,
            wait_seconds=float(wait["seconds"] or _LONGEST_WAIT_SECONDS) if wait else 0.0,
            keep=self._keep,
        )

    def _keep(self, prediction: Prediction) -> None:
        self._predictions[prediction.id] = prediction
        if len(self._predictions) > _KEPT_PREDICTIONS:
            self._predictions.popitem(last=False)
