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


def location(name: str, host: AzureHost) -> str:
    """Where the account is made.  Raises ValueError for a host of a stack that was not read."""
    if host.location is None:
        raise ValueError(f"{name} has no location")
    return host.location


def deployments(targets: Mapping[str, Target], host: AzureHost) -> tuple[Deployment, ...]:
    """By the host's targets, in their order."""
    return tuple(_deployment(model, target, host) for model, target in targets.items())


def _deployment(model: str, target: Target, host: AzureHost) -> Deployment:
    return Deployment(
        name=model,
        deployment=target.model_id,
        azure_model=target.base_model or target.model_id,
        version=host.versions.get(model),
        capacity=host.capacity[model],
    )


def account_name(resource_group: str) -> str:
    """The account's name and subdomain: 2 to 64 lower-case letters, digits and `-`, an alphanumeric at either end.

    The end of a longer name is kept, since it is the random part.
    """
    return re.sub(r"[^a-z0-9-]", "-", resource_group.lower())[-_NAME_LENGTH:].strip("-")
