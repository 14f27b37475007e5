"""What pods may do on AWS: a role per service account, by EKS Pod Identity, with a policy of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.render.naming import ROLE, physical


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


@dataclass(frozen=True)
class PodIdentityArgs:
    """One service account, and what it may do."""

    cluster_name: pulumi.Input[str]
    cluster: str
    """The cluster's name in the stack, which the role's name starts with."""
    namespace: str
    service_account: str
    statements: Sequence[Statement]
    tags: Mapping[str, str]
    documents: Sequence[pulumi.Input[str]] = ()
    """Policies that others wrote, as JSON, each attached as it is."""


class PodIdentity(pulumi.ComponentResource):
    """A role, its policy and its association with a service account.

    Leaves to others: the service account.  Pods get the credentials when they start, so they depend on `association`.
    """

    role_arn: pulumi.Output[str]
    association: aws.eks.PodIdentityAssociation

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=physical(args.cluster, args.namespace, args.service_account, limit=ROLE),
            assume_role_policy=trust("pods.eks.amazonaws.com"),
            tags=args.tags,
            opts=child,
        )
        policies = [*([policy(args.statements)] if args.statements else []), *args.documents]
        allowed = [
            aws.iam.RolePolicy(f"{name}-policy-{number}", role=role.name, policy=each, opts=child)
            for number, each in enumerate(policies, 1)
        ]
        self.association = aws.eks.PodIdentityAssociation(
            f"{name}-association",
            cluster_name=args.cluster_name,
            namespace=args.namespace,
            service_account=args.service_account,
            role_arn=role.arn,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})
