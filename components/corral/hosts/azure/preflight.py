"""What a provisioned Azure AI Foundry needs before `pulumi up`: the subscription, the model with its SKU and quota in
the location, and a name that no deleted account holds.  Only reads.

Policy.  The models of a location say under which name its quota counts a deployment (`usageName`), which is looked for
among its usages; where it is not there, the quota is unknown.  What the stack has deployed already is counted as wanted
and not as used.  A deleted account holds its name for 48 hours, which matters where the group that gives the name is
there: a new group has another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from corral.config.hosts import AzureHost
from corral.config.stack import Stack
from corral.hosts.azure.deployments import FORMAT, Deployment, account_name, deployments, location
from corral.hosts.azure.management import Manager
from corral.hosts.keys import elsewhere
from corral.hosts.probing import Judgement, Precondition
from corral.plan.plan import Target

_VERSION = "2025-06-01"
"""Of Microsoft.CognitiveServices: that which Pulumi's provider calls (azure-native 3.29)."""
_RESOURCES_VERSION = "2021-04-01"
_SUBSCRIPTIONS_VERSION = "2022-12-01"

_PROVIDER = "Microsoft.CognitiveServices"
_QUOTA_PAGE = "ask for more on the Quota page of the Foundry portal (learn.microsoft.com/azure/foundry/how-to/quota)"


def preconditions(
    name: str, host: AzureHost, targets: Mapping[str, Target], stack: Stack, manager: Manager
) -> Iterator[Precondition]:
    """All of a host that the stack makes."""
    yield Precondition.of(name, "subscription", _subscription, manager, stack.accounts.azure)
    yield Precondition.of(name, _PROVIDER, _registered, manager)
    place = _Location(manager, location(name, host), host.sku, stack.name)
    for each in deployments(targets, host):
        yield Precondition.of(name, each.azure_model, place.available, each)
        yield Precondition.of(name, f"quota of {each.azure_model}", place.quota, each)
    yield Precondition.of(name, "deleted accounts", place.deleted)


def _subscription(manager: Manager, pinned: str | None) -> Judgement:
    if pinned and manager.subscription != pinned:
        shows = "`az account show`, or ARM_SUBSCRIPTION_ID,"
        return "refused", elsewhere("Azure", "subscription", manager.subscription, pinned, shows)
    subscription = manager.read("", _SUBSCRIPTIONS_VERSION)
    if subscription["state"] != "Enabled":
        return "refused", f"{manager.subscription} is {subscription['state']}: have it enabled"
    return "allowed", manager.subscription


def _registered(manager: Manager) -> Judgement:
    state = manager.read(f"/providers/{_PROVIDER}", _RESOURCES_VERSION)["registrationState"]
    if state != "Registered":
        return "refused", f"{state} in the subscription: `az provider register --namespace {_PROVIDER}`"
    return "allowed", "registered"


@dataclass
class _Location:
    manager: Manager
    name: str
    sku: str
    stack: str

    def available(self, wanted: Deployment) -> Judgement:
        versions = [model for model in self._models if model["name"] == wanted.azure_model]
        if not versions:
            return "refused", f"not sold in {self.name}: choose another location, or another host for the model"
        if wanted.version and wanted.version not in (there := [each["version"] for each in versions]):
            return "refused", f"{self.name} has no version {wanted.version}, but {', '.join(sorted(there))}"
        if not (sold := self._sold(wanted)):
            skus = sorted({sku["name"] for model in versions for sku in model.get("skus", ())})
            return "refused", f"{self.name} sells it as {', '.join(skus) or 'nothing'}, not as {self.sku}"
        model, sku = sold
        end: str | None = model["deprecation"].get("inference") if model.get("deprecation") else None
        if end and datetime.fromisoformat(end) <= datetime.now(UTC):
            return "refused", f"retired on {end[:10]}: use another model"
        most: int | None = sku["capacity"].get("maximum") if sku.get("capacity") else None
        if most and wanted.capacity > most:
            return "refused", f"a deployment has a capacity of {most} at most, not {wanted.capacity}"
        retires = f", retires on {end[:10]}" if end else ""
        return "allowed", f"version {model['version']} as {self.sku} in {self.name}{retires}"

    def quota(self, wanted: Deployment) -> Judgement:
        sold = self._sold(wanted)
        usage = next((each for each in self._usages if sold and each["name"]["value"] == sold[1]["usageName"]), None)
        if usage is None:
            return "unknown", f"{self.name} lists no quota for it: `pulumi up` tells (InsufficientQuota)"
        free = int(usage["limit"] - usage["currentValue"]) + self._own(wanted.azure_model)
        place = f"{usage['name']['value']} is {usage['limit']:.0f} in {self.name}, of which others leave {free}"
        if free < wanted.capacity:
            return "refused", f"{place}, and {wanted.capacity} are wanted: {_QUOTA_PAGE}"
        return "allowed", f"{place}, and {wanted.capacity} are wanted"

    def deleted(self) -> Judgement:
        groups = [group["name"] for group in self.manager.list("/resourcegroups", _RESOURCES_VERSION, **self._filter)]
        there = {account["name"] for account in self._accounts}
        deleted = {
            account["name"]: account["id"]
            for account in self.manager.list(f"/providers/{_PROVIDER}/deletedAccounts", _VERSION)
        }
        for group in groups:
            name = account_name(group)
            if name in deleted and name not in there:
                purge = f"`az cognitiveservices account purge --location {self.name} --resource-group {group}"
                return "refused", f"{name} was deleted and holds its name for 48 hours: {purge} --name {name}`"
        return "allowed", "none holds the name of the account"

    def _sold(self, wanted: Deployment) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The version that would be deployed, which without one stated is Azure's default, and its SKU."""
        versions = [model for model in self._models if model["name"] == wanted.azure_model]
        stated = [model for model in versions if model["version"] == wanted.version]
        chosen = stated if wanted.version else sorted(versions, key=lambda each: not each.get("isDefaultVersion"))
        pairs = ((model, sku) for model in chosen for sku in model.get("skus", ()) if sku["name"] == self.sku)
        return next(pairs, None)

    @cached_property
    def _models(self) -> list[dict[str, Any]]:
        listed = self.manager.list(f"/providers/{_PROVIDER}/locations/{self.name}/models", _VERSION)
        return [each["model"] for each in listed if each["kind"] == "AIServices" and each["model"]["format"] == FORMAT]

    @cached_property
    def _usages(self) -> list[dict[str, Any]]:
        return self.manager.list(f"/providers/{_PROVIDER}/locations/{self.name}/usages", _VERSION)

    @cached_property
    def _accounts(self) -> list[dict[str, Any]]:
        """Those of the stack."""
        accounts = self.manager.list(f"/providers/{_PROVIDER}/accounts", _VERSION)
        return [each for each in accounts if each.get("tags") and each["tags"].get("corral-stack") == self.stack]

    @property
    def _filter(self) -> dict[str, str]:
        return {"$filter": f"tagName eq 'corral-stack' and tagValue eq '{self.stack}'"}

    def _own(self, model: str) -> int:
        """The capacity that the stack has deployed."""
        there = [
            deployment
            for account in self._accounts
            if account["location"] == self.name
            for deployment in self.manager.list(f"{account['id']}/deployments", _VERSION)
        ]
        return sum(
            each["sku"]["capacity"]
            for each in there
            if each["properties"]["model"]["name"] == model and each["sku"]["name"] == self.sku
        )
