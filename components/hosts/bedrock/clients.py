"""Clients of AWS that are only made where there are credentials, and never wait for ever."""

from __future__ import annotations

from functools import cache
from typing import Any


def client(service: str, region: str, timeout: float) -> Any | None:
    """A boto3 client with the credentials of the environment; None where there are none for this service.

    Every call takes two attempts of `timeout` seconds at most.  The machine's metadata service, where credentials may
    come from, gets a second.  Raises botocore's BotoCoreError where the AWS configuration is broken.
    """
    import boto3  # pyright: ignore[reportMissingTypeStubs]
    from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

    session = _session()
    if not _has_credentials(session, service):
        return None
    config = Config(
        connect_timeout=timeout, read_timeout=timeout, retries={"mode": "standard", "total_max_attempts": 2}
    )
    aws: Any = boto3.Session(botocore_session=session, region_name=region)
    return aws.client(service, config=config)


@cache
def signed_in() -> bool:
    """Whether this machine has credentials for Bedrock.  It is looked for once in a process: that may take a second."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    try:
        return _has_credentials(_session(), "bedrock")
    except BotoCoreError:
        return False


def _session() -> Any:
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]

    session: Any = botocore.session.Session()
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    return session


def _has_credentials(session: Any, service: str) -> bool:
    return session.get_auth_token(signing_name=service) is not None or session.get_credentials() is not None
