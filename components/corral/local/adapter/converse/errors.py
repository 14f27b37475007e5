"""What Bedrock refuses, and what goes wrong on the way to it, as errors of OpenAI's shape.

Policy.  The status tells the gateway whether another host may do better (5xx, 401, 403, 404, 429) or the request itself
is at fault (400).  So statuses are Bedrock's own, but for those by which it blames the caller for what the model did:
a model that is not ready (429 there) is 503, one that took too long (408) is 504, one that failed (424) is 502.  An id
that it does not know is 404: Bedrock calls that invalid as often as not found.  Credentials that are missing, or cannot
be had, are 401.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from botocore.eventstream import ParserError  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError  # pyright: ignore[reportMissingTypeStubs]
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from corral.local.adapter.openai import ChatError, ErrorType, bad_answer

FAILURES: Final = (ClientError, BotoCoreError, ResponseParserError, ParserError, HTTPError, OSError)
"""Everything that boto3 raises, streams included."""

_STATUS: Final[Mapping[str, int]] = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 502,
    "ModelNotReadyException": 503,
    "ModelStreamErrorException": 502,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
"""The exceptions of Converse and ConverseStream; an exception within a stream begins with a small letter there."""

_INVALID_ID: Final = "The provided model identifier is invalid"
"""How a ValidationException begins that is about the id."""

_CREDENTIALS: Final = (
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)


def chat_error(failure: Exception) -> ChatError:
    """The error for one of FAILURES."""
    match failure:
        case ClientError():
            return _said(cast("Mapping[str, Any]", failure.response))  # pyright: ignore[reportUnknownMemberType]
        case _ if isinstance(failure, _CREDENTIALS):
            why = f"there are no AWS credentials to sign with ({type(failure).__name__})"
            return ChatError(401, why, code="no_credentials")
        case ParamValidationError():
            return ChatError(400, f"Converse does not take it: {failure}", code="invalid_value")
        case ReadTimeoutError() | ConnectTimeoutError() | StreamTimeoutError():
            return ChatError(504, "it did not answer in time", type="server_error", code="timeout")
        case _:
            return bad_answer(f"it cannot be asked, or its answer is none ({type(failure).__name__})")


def _said(response: Mapping[str, Any]) -> ChatError:
    said: Mapping[str, str] = response.get("Error", {})
    meta: Mapping[str, Any] = response.get("ResponseMetadata", {})
    name, message = said.get("Code", ""), said.get("Message", "")
    name = name[:1].upper() + name[1:]
    status = _STATUS.get(name) or meta.get("HTTPStatusCode", 0)
    if name == "ValidationException" and message.startswith(_INVALID_ID):
        status = 404
    if not 400 <= status < 600:
        status = 502
    kind, code = _kind(status)
    retry_after: str | None = meta.get("HTTPHeaders", {}).get("retry-after")
    return ChatError(status, f"{name}: {message}", kind, code, retry_after=retry_after)


def _kind(status: int) -> tuple[ErrorType, str | None]:
    if status == 429:
        return "rate_limit_error", "rate_limit_exceeded"
    if status >= 500:
        return "server_error", None
    return "invalid_request_error", "model_not_found" if status == 404 else None
