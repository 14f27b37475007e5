"""What Bedrock refuses and what goes wrong, as errors of OpenAI's shape."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from corral.local.adapter.converse.errors import FAILURES, chat_error
from corral.local.adapter.openai import ChatError


def client_error(name: str, status: int, message: str = "why", kind: Any = ClientError, **headers: str) -> Exception:
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {key.replace("_", "-"): value for key, value in headers.items()}}
    return kind({"Error": {"Code": name, "Message": message}, "ResponseMetadata": meta}, "Converse")


def error(status: int, message: str, kind: Any = "server_error", code: str | None = None, **more: Any) -> ChatError:
    return ChatError(status, message, kind, code, **more)


REQUEST = "invalid_request_error"
LIMIT = "rate_limit_error"
UNREACHED = "it cannot be asked, or its answer is none"


@pytest.mark.parametrize(
    ("failure", "want"),
    [
        (client_error("ThrottlingException", 429),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("ThrottlingException", 429, retry_after="7"),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded", retry_after="7")),
        (client_error("ServiceQuotaExceededException", 400),
         error(429, "ServiceQuotaExceededException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("ValidationException", 400), error(400, "ValidationException: why", REQUEST)),
        (client_error("ValidationException", 400, "The provided model identifier is invalid."),
         error(404, "ValidationException: The provided model identifier is invalid.", REQUEST, "model_not_found")),
        (client_error("AccessDeniedException", 403), error(403, "AccessDeniedException: why", REQUEST)),
        (client_error("UnrecognizedClientException", 403), error(403, "UnrecognizedClientException: why", REQUEST)),
        (client_error("ResourceNotFoundException", 404),
         error(404, "ResourceNotFoundException: why", REQUEST, "model_not_found")),
        (client_error("ModelTimeoutException", 408), error(504, "ModelTimeoutException: why")),
        (client_error("ModelErrorException", 424), error(502, "ModelErrorException: why")),
        (client_error("ModelNotReadyException", 429), error(503, "ModelNotReadyException: why")),
        (client_error("InternalServerException", 500), error(500, "InternalServerException: why")),
        (client_error("ServiceUnavailableException", 503), error(503, "ServiceUnavailableException: why")),
        (client_error("AnErrorOfTomorrow", 418), error(418, "AnErrorOfTomorrow: why", REQUEST)),
        (client_error("AnErrorOfTomorrow", 200), error(502, "AnErrorOfTomorrow: why")),
        (client_error("throttlingException", 200, kind=EventStreamError),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("modelStreamErrorException", 200, kind=EventStreamError),
         error(502, "ModelStreamErrorException: why")),
        (NoCredentialsError(), error(401, "there are no AWS credentials to sign with (NoCredentialsError)", REQUEST,
                                     "no_credentials")),
        (UnauthorizedSSOTokenError(),
         error(401, "there are no AWS credentials to sign with (UnauthorizedSSOTokenError)", REQUEST,
               "no_credentials")),
        (ParamValidationError(report="maxTokens"),
         error(400, "Converse does not take it: Parameter validation failed:\nmaxTokens", REQUEST, "invalid_value")),
        (ReadTimeoutError(endpoint_url="u"), error(504, "it did not answer in time", code="timeout")),
        (ConnectTimeoutError(endpoint_url="u"), error(504, "it did not answer in time", code="timeout")),
        (StreamTimeoutError(None, "u", ""), error(504, "it did not answer in time", code="timeout")),  # pyright: ignore[reportArgumentType]
        (EndpointConnectionError(endpoint_url="u"),
         error(502, f"{UNREACHED} (EndpointConnectionError)", code="bad_answer")),
        (ProtocolError("cut"), error(502, f"{UNREACHED} (ProtocolError)", code="bad_answer")),
        (ChecksumMismatch(1, 2), error(502, f"{UNREACHED} (ChecksumMismatch)", code="bad_answer")),
        (ResponseParserError("x"), error(502, f"{UNREACHED} (ResponseParserError)", code="bad_answer")),
        (ConnectionResetError(), error(502, f"{UNREACHED} (ConnectionResetError)", code="bad_answer")),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Exception) else "",
)  # fmt: skip
def test_each_failure_has_its_error(failure: Exception, want: ChatError):
    assert isinstance(failure, FAILURES)
    assert vars(chat_error(failure)) == vars(want)
