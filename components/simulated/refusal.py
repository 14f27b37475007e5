"""Refusals: what a host answers instead of an answer, in the shape and with the codes of OpenAI's errors.

Bedrock's words for a Llama that refuses tools while it streams are quoted as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import ValidationError

from components.simulated.hosts import SimulatedHost, SimulatedModel


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None
    """Seconds."""

    def body(self, host: str | None) -> bytes:
        """The JSON body; its message begins with the name of the host, if there is one, that refused."""
        error = {
            "message": f"{host} (simulated): {self.message}" if host else self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}).encode()


def no_credential(host: SimulatedHost) -> Refusal:
    """401: nothing where the key should be."""
    where = "an `api-key` header" if host.header == "api-key" else "an `Authorization: Bearer` header"
    return Refusal(401, f"You didn't provide an API key. Provide it in {where}.")


def wrong_credential() -> Refusal:
    """401: a key, but not this host's."""
    return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")


def no_such_model(model: str) -> Refusal:
    """404: not an id of this host."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, message, code="model_not_found", param="model")


def bad_request(error: ValidationError) -> Refusal:
    """400: not JSON, or not the JSON this route takes."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return not_json(first["msg"])
    param = str(first["loc"][0]) if first["loc"] else None
    return Refusal(400, f"{param or 'the body'}: {first['msg']}.", code="invalid_value", param=param)


def not_json(why: str) -> Refusal:
    """400: the body is not JSON."""
    return Refusal(400, f"We could not parse the JSON body of your request: {why}.")


def beyond_the_model(facts: SimulatedModel, *, streamed: bool, tools: bool, images: bool) -> Refusal | None:
    """400: something that this model does not do at this host."""
    if streamed and facts.streaming is False:
        return Refusal(400, "This model doesn't support streaming.", code="unsupported_value", param="stream")
    if tools and facts.tools is False:
        return Refusal(400, "This model doesn't support tool use.", code="unsupported_value", param="tools")
    if tools and streamed and facts.tools_while_streaming is False:
        message = "This model doesn't support tool use in streaming mode."
        return Refusal(400, message, code="unsupported_value", param="tools")
    if images and facts.vision is False:
        return Refusal(400, "This model doesn't support image input.", code="unsupported_value", param="messages")
    return None


FAULTS = {
    "401": Refusal(401, "This API key was revoked.", code="invalid_api_key"),
    "429": Refusal(429, "Rate limit reached.", type="rate_limit_error", code="rate_limit_exceeded"),
    "500": Refusal(500, "The server had an error while processing your request.", type="server_error"),
    "503": Refusal(503, "The server is overloaded or not ready yet.", type="server_error"),
}
"""What the faults of these kinds answer; `429` adds its time."""
