"""What AWS, Azure and the provider of random values answer: made up from the types of their SDKs."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from corral.testing import mock_outputs
from corral.testing.recording import UNKNOWN, revealed
from tests.pulumi_engine.stand_ins.comparison import Path, differences
from tests.pulumi_engine.stand_ins.store import Store

_IMPORTING = threading.Lock()
"""The SDKs import their modules when they are first asked for, which only one thread at a time may do."""

API_SERVER = "CORRAL_TEST_API_SERVER"
"""The variable with the URL at which the API server of a cluster on EKS answers."""

_SDKS = {"aws": "pulumi_aws", "azure-native": "pulumi_azure_native", "random": "pulumi_random"}


class Cloud:
    """A cloud that makes whatever it is asked for."""

    def __init__(self, package: str, _store: Store) -> None:
        self.package = package

    def refusal(self, _verb: str, _type: str, _inputs: Mapping[str, Any]) -> str | None:
        """Why it is not done; None: it is."""
        return None

    def id(self, _type: str, name: str, _inputs: Mapping[str, Any]) -> str:
        """Another one each time, so that what is made anew is known by it."""
        return f"{name}-{uuid4().hex[:7]}"

    def outputs(
        self,
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        id_: str | None,
        _before: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """What the cloud says of it; of one that is only planned, without id, what it is given."""
        outputs = mock_outputs.outputs(_class(self.package, type_), type_, name, {}, ())
        if self.package == "random":
            outputs["result"] = f"{mock_outputs.SECRET}-{id_}"
        if type_ == "aws:eks/cluster:Cluster":
            outputs |= {"endpoint": os.environ[API_SERVER], "certificateAuthority": {"data": ""}}
        return merged(outputs if id_ is not None else _unknown(outputs), inputs)

    def configure(self, _options: Mapping[str, Any]) -> None:
        """Takes the provider's own options: none matters here."""

    def diff(
        self, _type: str, old: Mapping[str, Any], _outputs: Mapping[str, Any], new: Mapping[str, Any]
    ) -> tuple[set[Path], set[Path], bool]:
        """What differs; everything is changed in place."""
        return {*differences(revealed(old), old, new)}, set(), False

    def refreshed(self, _type: str, inputs: Mapping[str, Any], _outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a program would have to say to get what is there: what it has said."""
        return dict(inputs)

    def lookup(self, _type: str, _id: str) -> dict[str, Any] | None:
        """What is there and was not made here; None: nothing."""
        return None

    def status(self, _type: str) -> dict[str, Any]:
        """What is said now of a thing, besides what it was when it was made: nothing."""
        return {}

    def answer(self, token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a function."""
        return mock_outputs.INVOKE_RESULTS[token](args)


def _class(package: str, type_: str) -> type:
    """`aws:ec2/vpc:Vpc` → pulumi_aws.ec2.Vpc."""
    _, module, name = type_.split(":")
    module = module.partition("/")[0]
    with _IMPORTING:
        return getattr(importlib.import_module(_SDKS[package] + ("" if module == "index" else f".{module}")), name)


def _unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unknown(below) for key, below in value.items()}
    return UNKNOWN


def merged(outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, with what the outputs have besides, at any depth."""
    below = {
        key: merged(outputs[key], value) if isinstance(outputs.get(key), dict) and isinstance(value, dict) else value
        for key, value in inputs.items()
    }
    return {**outputs, **below}
