"""What a stack deploys on Azure AI Foundry, and what its account is called there: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from corral.config.hosts import AzureHost
from corral.plan.plan import Target

FORMAT = "Meta"
"""Azure's name for who made the model."""
_NAME_LENGTH = 64


class UnstatedError(ValueError):
    """The stack says too little of a deployment; the message says what, and the way out."""


@dataclass(frozen=True)
class Deployment:
    """One model to deploy."""

    name: str
    """The name clients ask for."""
    deployment: str
    """What it is called in Azure: the plan's id of the model."""
    azure_model: str
    """Azure's name of the model."""
    version: str | None
    """None: Azure's default of the day."""
    capacity: int
    """Thousand tokens a minute, or provisioned units."""


def deployments(targets: Mapping[str, Target], host: AzureHost) -> tuple[Deployment, ...]:
    """By the host's targets, in their order.  Raises UnstatedError."""
    return tuple(_deployment(model, target, host) for model, target in targets.items())


def _deployment(model: str, target: Target, host: AzureHost) -> Deployment:
    capacity = host.capacity.get(model)
    if capacity is None:
        raise UnstatedError(f"{target.host} gives {model} no capacity: set corral:hosts.{target.host}.capacity.{model}")
    return Deployment(
        name=model,
        deployment=target.model_id,
        azure_model=target.base_model or target.model_id,
        version=host.versions.get(model),
        capacity=capacity,
    )


def account_name(resource_group: str) -> str:
    """The account's name and subdomain: 2 to 64 lower-case letters, digits and `-`, an alphanumeric at either end.

    The end of a longer name is kept, since it is the random part.
    """
    return re.sub(r"[^a-z0-9-]", "-", resource_group.lower())[-_NAME_LENGTH:].strip("-")
