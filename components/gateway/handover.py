"""The times of a hand-over from a model's route to the next one, which has another list of hosts.

    the next route ► the processors learn of it ► it is followed ► every Envoy follows it ► the route before goes

Pulumi makes the next route before it deletes the one before, and deletes last of all.  In between two things take time,
and nothing tells when they are done.  To the processor beside each Envoy a route comes in a secret: the controller
writes it and touches the pods, whereupon the kubelet brings it there, within seconds as a rule, at its next look at the
pod otherwise, and the processor looks every 5 s.  Envoy itself follows another route within a second.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

Properties = dict[str, Any]


def is_handed_over(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether a model that had a route has another one; both by model the name of its route."""
    return any(model in after and after[model] != route for model, route in before.items())


class HandoverProvider(ResourceProvider):
    """Waits when routes have changed.  Pulumi keeps its pickle, which is the name of this class and nothing else."""

    serialize_as_secret_always = False

    def create(self, props: Properties) -> CreateResult:
        return CreateResult("handover", dict(props))

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        return DiffResult(changes=_olds["routes"] != _news["routes"])

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        if is_handed_over(_olds["routes"], _news["routes"]):
            time.sleep(_news["milliseconds"] / 1000)
        return UpdateResult(dict(_news))


class Handover(pulumi.dynamic.Resource, module="gateway", name="Handover"):
    """The time that what it depends on is given whenever a model has another route; none where no model has."""

    def __init__(self, name: str, routes: Mapping[str, str], milliseconds: int, opts: pulumi.ResourceOptions) -> None:
        """`routes`: by model the name of its route."""
        super().__init__(HandoverProvider(), name, {"routes": dict(routes), "milliseconds": milliseconds}, opts)
