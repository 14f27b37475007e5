"""Clients of AWS that are only made where there are credentials, and never wait for ever."""

from __future__ import annotations

from typing import Any


def client(service: str, region: str, timeout: float) -> Any | None:
    """A boto3 client with the credentials of the environment; None where there are none for this service.

    Every call takes two attempts of `timeout` seconds at most.  The machine's metadata service, where credentials may
    come from, gets a second.  Raises botocore's BotoCoreError where the AWS configuration is broken.
    """
    import boto3  # pyright: ignore[reportMissingTypeStubs]
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]
    from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

    session: Any = botocore.session.Session()
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    if session.get_auth_token(signing_name=service) is None and session.get_credentials() is None:
        return None
    config = Config(
        connect_timeout=timeout, read_timeout=timeout, retries={"mode": "standard", "total_max_attempts": 2}
    )
    aws: Any = boto3.Session(botocore_session=session, region_name=region)
    return aws.client(service, config=config)
