"""OpenAI's protocol."""

from __future__ import annotations

from components.simulated.asked import Asked, Whole, to_json
from components.simulated.bearer import locked
from components.simulated.chat import ChatRequest
from components.simulated.completions import CompletionRequest
from components.simulated.dialect import Request, Said, no_path, wrong_method
from components.simulated.embeddings import EmbeddingRequest
from components.simulated.faults import Faults
from components.simulated.hosts import SimulatedHost
from components.simulated.refusal import Refusal
from components.simulated.responses import ResponseRequest

_ROUTES: dict[str, type[Asked]] = {
    "/chat/completions": ChatRequest,
    "/completions": CompletionRequest,
    "/embeddings": EmbeddingRequest,
    "/responses": ResponseRequest,
}


class OpenAI:
    """See `dialect.Dialect`."""

    id_header = "x-request-id"

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        if request.route == "/models":
            return self._models(host) if request.method == "GET" else wrong_method(request)
        kind = _ROUTES.get(request.route or "")
        if kind is None:
            return no_path(request, f"its base URL ends in {host.prefix}")
        return kind.read(request.body) if request.method == "POST" else wrong_method(request)

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        return locked(host, request)

    def said(self, refusal: Refusal, host: str) -> Said:
        more = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
        return Said(refusal.status, refusal.body(host), more)

    def _models(self, host: SimulatedHost) -> Whole:
        faults = {model: self._faults.find(host.name, model) for model in host.models}
        there = sorted(model for model, fault in faults.items() if fault is None or fault.kind != "404")
        data = [{"id": model, "object": "model", "created": 0, "owned_by": host.name} for model in there]
        return Whole(to_json({"object": "list", "data": data}), 0, 0)
