"""Replicate's protocol: predictions.  replicate.com/docs/reference/http."""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from components.simulated.asked import Asked, Whole, to_json
from components.simulated.bearer import locked
from components.simulated.dialect import Request, Said, no_path, wrong_method
from components.simulated.hosts import SimulatedHost
from components.simulated.predictions import OfPrediction, PredictionRequest, Predictions
from components.simulated.refusal import Refusal, not_json
from components.simulated.simulation import Simulation

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
