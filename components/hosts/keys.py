"""Whose key a stack must have before anything is provisioned.

A host that the stack provisions brings its key, or the cloud's own identity, along; one that is there already is called
with the key that its owner gave out, and that is in `corral:keys`.
"""

from __future__ import annotations

from collections.abc import Collection

from components.plan.calling import PROVISIONED
from components.plan.plan import Plan, Target


def provisioned(target: Target) -> bool:
    """Whether the stack makes the host: it is of a kind that can be made, and is not at a URL already."""
    return target.kind in PROVISIONED and target.url is None


def missing_keys(plan: Plan, held: Collection[str]) -> tuple[str, ...]:
    """The hosts that are called with a key which the stack, holding these hosts' keys, does not have; by name."""
    targets = (target for model in plan.models for target in model.targets)
    wanted = {target.host for target in targets if target.credential.header and not provisioned(target)}
    return tuple(sorted(wanted - {*held}))


def said_missing(host: str, stack: str) -> str:
    """That a host's key is missing, in one line."""
    return (
        f"{host} is called with a key, and corral:keys has none for it: "
        f"`pulumi config set --secret --path 'corral:keys.{host}' -s {stack}`"
    )
