"""An account of AWS whose answers a test says, each in the shape that botocore's Stubber holds it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

from corral.hosts import aws as hosts_aws
from corral.hosts.bedrock import probe
from tests.hosts.bedrock.aws import stubbed

Answer = Mapping[str, Any] | str | Exception | Callable[[Mapping[str, Any]], Mapping[str, Any] | str]
"""A response, the code of an error, what happens to the connection, or one of these by the call's parameters."""


class FakeAccount:
    """Answers each operation as often as it is asked; keeps the IAM actions that were taken."""

    current: FakeAccount

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """By operation, like `describe_vpcs`."""
        self.answers = dict(answers)
        self.actions: list[str] = []

    @staticmethod
    @cache
    def _client(service: str) -> Any:
        """One for all tests of a process: it takes a second to make one of EC2."""
        client = stubbed(service).client
        events = client.meta.events
        events.register("before-parameter-build.*.*", lambda params, context, **_: context.update(asked=params))
        events.register("before-call.*.*", lambda model, context, **_: _reply(client, model, context["asked"]))
        return client

    def _answer(self, operation: str, params: Mapping[str, Any], action: str) -> Mapping[str, Any] | str:
        self.actions.append(hosts_aws.OTHER_ACTIONS.get(action, action))
        answer = self.answers[operation]
        answer = answer(params) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, service: str, *_: object) -> Any:
        """In place of `corral.hosts.aws.client`."""
        FakeAccount.current = self
        return self._client(service)

    def installed(self, patch: pytest.MonkeyPatch) -> FakeAccount:
        """This account, for all that asks AWS in this process."""
        for module in (hosts_aws, probe):
            patch.setattr(module, "client", self.client)
        probe.applied_quotas.cache_clear()
        return self


def _reply(client: Any, model: Any, params: Mapping[str, Any]) -> tuple[AWSResponse, Any]:
    """The current account's answer, held to AWS's shape; several threads may ask at once."""
    operation = xform_name(model.name)
    answer = FakeAccount.current._answer(operation, params, f"{model.service_model.signing_name}:{model.name}")
    if isinstance(answer, str):
        return AWSResponse("https://aws.test", 400, {}, None), {"Error": {"Code": answer, "Message": ""}}
    Stubber(client).add_response(operation, answer)  # refuses what AWS would not answer
    return AWSResponse("https://aws.test", 200, {}, None), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def quota(service: str, code: str, value: float) -> dict[str, Any]:
    """What GetServiceQuota answers."""
    return {"Quota": {"ServiceCode": service, "QuotaCode": code, "QuotaName": code, "Value": value}}
