"""Names in Azure, and how they are made.

Policy.  A deleted account keeps its name, and its subdomain, for 48 hours unless it is purged: creating it again under
that name fails with FlagMustBeSetForRestore.  So an account is called as its resource group, whose name Pulumi makes
with a random end once and keeps for as long as the group lives: the same through every update, another one after the
stack was destroyed and made anew.

What a plan calls at an Azure host, as deployments.

Policy.  A request to Azure names a deployment, so the target's id is the deployment's name: there is no other.  The
model that is deployed under it is the one of that name in Azure's catalogue, or, where the stack calls the deployment
something else, the one that ours knows under the model's own name.  Its version is the stack's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corral.catalog.catalog import HostEntry
from corral.config.hosts import AzureHost
from corral.plan.plan import Plan, Target

_LONGEST = 64


def account_name(resource_group: str) -> str:
    """The account's name and subdomain: 2 to 64 lower-case letters, digits and `-`, an alphanumeric at either end.

    The end of a longer name is kept, since it is the random part.
    """
    return re.sub(r"[^a-z0-9-]", "-", resource_group.lower())[-_LONGEST:].strip("-")


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


class NoCapacityError(Exception):
    """The stack gives a model no capacity."""


def deployments(plan: Plan, name: str, host: AzureHost, entry: HostEntry) -> tuple[Deployment, ...]:
    """One per model that the plan has at the host `name`, in order of name; `entry` is the host's in the catalog.

    Raises NoCapacityError.
    """
    return tuple(_deployment(model, target, host, entry) for model, target in plan.at(name).items())


def _deployment(model: str, target: Target, host: AzureHost, entry: HostEntry) -> Deployment:
    capacity = host.capacity.get(model)
    if capacity is None:
        raise NoCapacityError(
            f"{target.host} gives {model} no capacity: set corral:hosts.{target.host}.capacity.{model}"
        )
    known = entry.models.get(model)
    ids = {each.id for each in entry.models.values()}
    azure_model = known.id if known and target.model_id not in ids else target.model_id
    return Deployment(model, target.model_id, azure_model, host.versions.get(model), capacity)
