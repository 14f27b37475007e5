"""IAM documents as JSON: what is allowed, and who takes a role on.  Without a wildcard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True)
class Statement:
    """Something that is allowed."""

    actions: Sequence[str]
    """In full, like `bedrock:InvokeModel`."""
    resources: Sequence[pulumi.Input[str]]
    """ARNs."""
    condition: Mapping[str, Mapping[str, str | Sequence[str]]]
    """As IAM writes it; empty for none."""


def trust(service: str) -> str:
    """The JSON of a trust policy: the service of AWS takes the role on, and passes session tags on."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                }
            ],
        }
    )


def policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """The JSON of a policy.  Raises ValueError for `*`: an action, or resources, that nobody has named."""
    for statement in statements:
        if any("*" in action for action in statement.actions) or "*" in statement.resources:
            raise ValueError("a policy names its actions in full and its resources by ARN")
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [_written(each) for each in statements]})


def _written(statement: Statement) -> dict[str, Any]:
    written: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
    }
    return written | ({"Condition": statement.condition} if statement.condition else {})
