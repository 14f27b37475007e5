"""How AWS is asked: with the credentials of the environment, and never for ever; and what an error of its APIs means.

The SDK is loaded where it is called: what AWS has answered is judged without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from corral.config.problems import missing_extra
from corral.hosts.probing import HostError, Judgement

TIMEOUT_SECONDS = 5.0
"""For one of the two attempts of a call."""

_BAD_CREDENTIALS = (
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
"""Each protocol of AWS has its own word."""

_SIGNED_OUT = ("SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError")
"""botocore's errors for a session of single sign-on that has ended."""

OTHER_ACTIONS = {"s3:ListObjectsV2": "s3:ListBucket"}
"""Of the operations that are asked those whose IAM action is called otherwise."""

_NO_QUOTA = ("NoSuchResourceException",)


@dataclass(frozen=True)
class ErrorCode:
    """AWS answers with an error of this code."""

    code: str


def judge_error(code: str, permissions: str, *, absent: Judgement | None = None) -> Judgement:
    """What an error of this code means; `absent` where it says that what was asked for is not there.

    `permissions` are the IAM actions that the call takes.
    """
    if absent and code in ("ResourceNotFoundException", "ValidationException"):
        # Bedrock calls an id that it does not know invalid as often as not found.
        return absent
    if code in _BAD_CREDENTIALS:
        return "refused", f"it refuses the AWS credentials ({code}): sign in again"
    if code in _DENIED:
        return "unknown", f"these AWS credentials may not ask: allow {permissions}"
    return "unknown", f"it answers {code}: try again later"


def client(service: str, region: str, timeout: float = TIMEOUT_SECONDS) -> Any | None:
    """A boto3 client with the credentials of the environment; None where there are none for this service.

    Every call takes two attempts of `timeout` seconds at most.  Raises BotoCoreError where the AWS configuration is
    broken.
    """
    import boto3  # pyright: ignore[reportMissingTypeStubs]
    from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

    session = _session(service)
    if session is None:
        return None
    config = Config(
        connect_timeout=timeout, read_timeout=timeout, retries={"mode": "standard", "total_max_attempts": 2}
    )
    aws: Any = boto3.Session(botocore_session=session, region_name=region)
    return aws.client(service, config=config)


@cache
def signed_in() -> bool:
    """Whether this machine has credentials for Bedrock, found out once in a process: that may take a second."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    try:
        return _session("bedrock") is not None
    except BotoCoreError:
        return False


def _session(service: str) -> Any | None:
    """A session with credentials for the service; a machine's metadata service, which may have some, gets a second."""
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]

    session: Any = botocore.session.Session()
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    return session if session.get_auth_token(signing_name=service) or session.get_credentials() else None


class Account:
    """What the credentials of the environment may read in one region; each answer is whole, all pages of it.

    A service that could not be reached once is not waited for again.
    """

    def __init__(self, region: str) -> None:
        self.region = region
        self._clients: dict[str, Any] = {}
        self._out_of_reach: dict[str, HostError] = {}

    def read(self, service: str, operation: str, absent: Collection[str] = (), **parameters: Any) -> Any:
        """What AWS answers; None where its error is one of `absent`.  Raises HostError for any other."""
        if find_spec("boto3") is None:
            raise HostError("unknown", missing_extra("aws", "asking AWS"))
        from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

        if service in self._out_of_reach:
            raise self._out_of_reach[service]
        try:
            api = self._clients.get(service) or client(service, self.region)
            if api is None:
                raise HostError("unknown", "there are no AWS credentials to ask with: sign in")
            self._clients[service] = api
            try:
                if api.can_paginate(operation):
                    return api.get_paginator(operation).paginate(**parameters).build_full_result()
                return getattr(api, operation)(**parameters)
            except ClientError as error:
                code = error_code(error).code
                if code in absent:
                    return None
                raise HostError(*judge_error(code, _action(api, operation))) from None
        except BotoCoreError as error:
            name = type(error).__name__
            way_out = "sign in again (aws sso login)" if name in _SIGNED_OUT else "see whether it is in reach from here"
            self._out_of_reach[service] = HostError("unknown", f"AWS cannot be asked ({name}): {way_out}")
            raise self._out_of_reach[service] from None

    def quota(self, service: str, code: str) -> float | None:
        """What applies to the account, or AWS's default where nothing else does; None: there is no such quota here."""
        for operation in ("get_service_quota", "get_aws_default_service_quota"):
            answer = self.read("service-quotas", operation, _NO_QUOTA, ServiceCode=service, QuotaCode=code)
            if answer:
                return answer["Quota"]["Value"]
        return None


def error_code(error: Exception) -> ErrorCode:
    """That of a ClientError."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return ErrorCode(response.get("Error", {}).get("Code", "an error without a name"))


def _action(api: Any, operation: str) -> str:
    """The IAM action that an operation takes: most are called like it, in the namespace that signs it."""
    name = f"{api.meta.service_model.signing_name}:{api.meta.method_to_api_mapping[operation]}"
    return OTHER_ACTIONS.get(name, name)


def increase(service: str, code: str, value: float, region: str) -> str:
    """The command that asks AWS for more of a quota."""
    return (
        f"`aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {value:.0f} --region {region}`"
    )
