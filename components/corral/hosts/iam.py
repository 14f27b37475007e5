"""IAM documents as JSON: what is allowed, and who takes a role on.  Without a wildcard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

Condition = Mapping[str, Mapping[str, str | Sequence[str]]]
"""As IAM writes it: `{"StringEquals": {"aws:SourceAccount": "123456789012"}}`; empty for none."""
ALWAYS: Condition = {}

_VERSION = "2012-10-17"


@dataclass(frozen=True)
class Statement:
    """Something that is allowed."""

    actions: Sequence[str]
    """In full, like `bedrock:InvokeModel`."""
    resources: Sequence[pulumi.Input[str]]
    """ARNs."""
    condition: Condition


def trust(
    service: str, actions: str | Sequence[str] = ("sts:AssumeRole", "sts:TagSession"), condition: Condition = ALWAYS
) -> str:
    """The JSON of a trust policy: the service of AWS takes the role on, and passes session tags on."""
    taking_on = _allow({"Principal": {"Service": service}, "Action": actions}, condition)
    return json.dumps({"Version": _VERSION, "Statement": [taking_on]})


def document(statements: Sequence[Statement]) -> dict[str, Any]:
    """A policy.  Raises ValueError for `*`: an action, or resources, that nobody has named."""
    for statement in statements:
        if any("*" in action for action in statement.actions) or "*" in statement.resources:
            raise ValueError("a policy names its actions in full and its resources by ARN")
    allowed = [
        _allow({"Action": [*each.actions], "Resource": [*each.resources]}, each.condition) for each in statements
    ]
    return {"Version": _VERSION, "Statement": allowed}


def policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """The JSON of a policy, whose ARNs may be known only later; raises as `document`."""
    return pulumi.Output.json_dumps(document(statements))


def _allow(allowed: Mapping[str, Any], condition: Condition) -> dict[str, Any]:
    return {"Effect": "Allow", **allowed, **({"Condition": condition} if condition else {})}
