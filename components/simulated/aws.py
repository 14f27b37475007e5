"""Bedrock's protocol: Converse, signed requests, and AWS's errors."""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from components.simulated.asked import Asked, Whole, to_json
from components.simulated.bearer import locked
from components.simulated.converse import ConverseRequest
from components.simulated.dialect import Request, Said, no_path, wrong_method
from components.simulated.hosts import SimulatedHost
from components.simulated.refusal import Refusal, not_json
from components.simulated.sigv4 import signed

_ROUTE: Final = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream)")

_NAMES: Final = {
    400: (400, "ValidationException"),
    401: (403, "UnrecognizedClientException"),
    404: (404, "ResourceNotFoundException"),
    405: (405, "UnknownOperationException"),
    429: (429, "ThrottlingException"),
    500: (500, "InternalServerException"),
    503: (503, "ServiceUnavailableException"),
}
"""Per status of OpenAI's protocol the status and the name of AWS's error."""


class Aws:
    """See `dialect.Dialect`."""

    id_header = "x-amzn-requestid"

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        found = _ROUTE.fullmatch(request.route or "")
        if found is None:
            return no_path(request, f"Converse is at {host.prefix}/model/<id>/converse")
        if request.method != "POST":
            return wrong_method(request)
        try:
            said: object = json.loads(request.body)
        except ValueError as error:
            return not_json(str(error))
        keys = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        return ConverseRequest.of(keys | {"model": found["model"], "stream": found["operation"] == "converse-stream"})

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        right = None if host.key is None else signed(request, host.key)
        if right is None:
            return locked(host, request)
        return None if right else Refusal(401, "The request signature we calculated does not match the signature.")

    def said(self, refusal: Refusal, host: str) -> Said:
        status, name = _NAMES[refusal.status]
        message = f"{host} (simulated): {refusal.message}"
        if refusal.code == "model_not_found":
            status, name, message = 400, "ValidationException", "The provided model identifier is invalid."
        more = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
        return Said(status, to_json({"message": message}), (("x-amzn-errortype", name), *more))
