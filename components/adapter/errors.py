"""An error as a client of OpenAI's API expects it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]


@dataclass(eq=False)
class ChatError(Exception):
    """What is answered instead of a chat completion."""

    status: int
    message: str
    type: ErrorType = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    """The request's parameter that is wrong: `messages[0].content`."""
    retry_after: str | None = None
    """The value of the header of that name, in the host's own words."""

    def body(self, host: str) -> dict[str, Any]:
        """The JSON of the answer; its message begins with the name of the host."""
        message = f"{host}: {self.message}"
        return {"error": {"message": message, "type": self.type, "param": self.param, "code": self.code}}


def refused(param: str, why: str) -> ChatError:
    """400: this parameter of the request, and why."""
    return ChatError(400, f"{param} {why}", code="invalid_value", param=param)


def unsupported(param: str, why: str) -> ChatError:
    """400: a parameter that OpenAI's API has and this host has not."""
    return ChatError(400, f"{param} {why}", code="unsupported_parameter", param=param)


def no_such_model(model: str) -> ChatError:
    """404: not an id of this host."""
    return ChatError(404, f"there is no model {model!r} here", code="model_not_found", param="model")


def bad_answer(why: str) -> ChatError:
    """502: the host's answer is none; another host may give one."""
    return ChatError(502, why, type="server_error", code="bad_answer")
