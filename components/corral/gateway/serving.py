"""The end of `pulumi up`: it returns when what is new is served, not when it is applied.

Policy.  What is waited for is new: a gateway's first routes, or the route of a model that had none.  A share edit and a
cut-over have nothing of it, and a preview waits for nothing.  Nothing here fails: what is not proved is said.

1. A new gateway has Envoys before it has a route.  With the first one Envoy AI Gateway 1.1.0 has them replaced by ones
   with a processor beside them; those without answer 500.  So the Deployment is read until it is rolled out.
   Goes when Envoy AI Gateway puts a processor beside the first Envoys.
2. The route of a new model comes to the processors later than to the Envoys, in a secret: until then it is answered 404
   or 500.  So the gateway is asked for its models, which each processor answers by what it has and which no host sees,
   until many answers in a row name the new ones.  Where it cannot be reached from here, time is given instead: that of
   a cut-over (`corral:gateway.handover`), in which the kubelet brings a changed secret to a pod.  One that has answered
   can be reached: a processor of Envoy AI Gateway 1.1.0 that has no routes yet ends at the question, and its Envoy is
   out of reach until it is back.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pulumi

from corral.config.problems import listed, span
from corral.gateway.names import ENVOY_NAMESPACE
from corral.hosts.base import KubernetesObject

_ROLLOUT_SECONDS = (1, 1, 2, 4, 8, 16, *(32,) * 18)
"""The pause before each reading of the Deployment: ten minutes in all, which may have to do for images and nodes."""

_PROCESSOR = "aigateway.envoyproxy.io/extproc-config-hash"
"""The annotation of pods by which Envoy AI Gateway 1.1.0 has Envoys replaced by those with a processor."""

_ANSWERS = 10
"""Lists of models in a row, each on a connection of its own, so that a load balancer takes every Envoy in turn."""

_ANSWER_SECONDS = 5
"""The longest wait for a list of models, of which one takes milliseconds."""

Wait = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class NewRoutes:
    """The routes that this `pulumi up` has made where none was."""

    models: Sequence[str]
    first: bool
    """Whether the gateway has never had a route."""
    since: float
    """When they were accepted, in seconds of the epoch."""


def is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """Whether every Envoy has a processor beside it, and the ones before are gone."""
    metadata: Mapping[str, Any] = deployment["metadata"]
    status: Mapping[str, Any] = deployment["status"] or {}
    annotations: Mapping[str, str] = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    updated = status.get("updatedReplicas", 0)
    return (
        _PROCESSOR in annotations
        and status.get("observedGeneration", 0) >= metadata["generation"]
        and 0 < updated == status.get("replicas") == status.get("availableReplicas")
    )


async def wait_for_rollout(
    deployment: str, read: Callable[[int], Awaitable[Mapping[str, Any]]], wait: Wait = asyncio.sleep
) -> str:
    """Returns once the Envoys are replaced: nothing; after ten minutes: what to look at.

    `read`: reads the Deployment as it is now, and is given how often that was done before.
    """
    for attempt, seconds in enumerate(_ROLLOUT_SECONDS):
        await wait(seconds)
        if is_rolled_out(await read(attempt)):
            return ""
    return (
        "the gateway's Envoys are not all replaced by those with a processor, which its first route needs: until they "
        f"are, some requests are answered with 500. `kubectl -n {ENVOY_NAMESPACE} rollout status "
        f"deployment/{deployment}` shows how far it is"
    )


def deployment_reader(
    name: str, deployment: str, opts: pulumi.ResourceOptions
) -> Callable[[int], Awaitable[Mapping[str, Any]]]:
    """Reads the Deployment of the Envoys, which Envoy Gateway makes."""
    at = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=f"{ENVOY_NAMESPACE}/{deployment}"))

    async def read(attempt: int) -> Mapping[str, Any]:
        envoys = KubernetesObject(f"{name}/{attempt}", {"apiVersion": "apps/v1", "kind": "Deployment"}, at)
        parts = {"metadata": envoys.metadata, "spec": envoys.spec, "status": envoys.status}
        return {part: await output.future() for part, output in parts.items()}

    return read


@dataclass(frozen=True)
class ModelLists:
    """What a gateway answers to one who asks for its models."""

    url: str
    key: str | None
    """A tenant's; None: there is none, as tenants have tokens."""
    ca: str | None = None
    """What is trusted besides the authorities of the system, as PEM."""

    async def read(self) -> frozenset[str]:
        """The models, none where it answers with an error.  Raises httpx.HTTPError where it cannot be reached."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        trust = ssl.create_default_context()
        if self.ca:
            trust.load_verify_locations(cadata=self.ca)
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, headers=headers, verify=trust) as client:
            answer = await client.get(f"{self.url}/models")
        if answer.status_code != 200:
            return frozenset()
        return frozenset(model["id"] for model in answer.json()["data"])


@dataclass(frozen=True)
class Proof:
    """What is known of new models at the end of `pulumi up`."""

    text: str
    refuted: bool = False
    """Whether the gateway answers, and not for them."""


async def prove(
    new: NewRoutes,
    lists: ModelLists,
    delay_milliseconds: int,
    wait: Wait = asyncio.sleep,
    now: Callable[[], float] = time.time,
) -> Proof:
    """Returns once the gateway has named the new models often enough, or after the delay; raises nothing."""
    models, in_a_row, answered = listed(list(new.models), "and"), 0, False
    deadline = max(new.since, now() if new.first else 0) + delay_milliseconds / 1000
    by_hand = f"`corral smoke -s {pulumi.get_stack()}` asks each of its models for an answer"
    while True:
        try:
            if lists.key is None:
                why = "its tenants have tokens, of which there is none here"
                break
            in_a_row = in_a_row + 1 if await lists.read() >= {*new.models} else 0
            answered = True
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            if not answered:
                why = f"{type(error).__name__} at {lists.url}"
                break
            in_a_row = 0
        if in_a_row == _ANSWERS:
            return Proof(f"the gateway serves {models}: {_ANSWERS} lists of its models in a row say so")
        if now() >= deadline:
            return Proof(f"the gateway does not say yet that it serves {models}: {by_hand}", refuted=True)
        if not in_a_row:
            await wait(1)
    waited = ""
    if not new.first:
        await wait(max(0, deadline - now()))
        waited = f", so it was given {span(delay_milliseconds)} to get to know of {models}"
    return Proof(f"the gateway cannot be asked from here ({why}){waited}; where it can, {by_hand}")


def until_served(
    name: str,
    deployment: str,
    new: pulumi.Output[NewRoutes | None],
    lists: pulumi.Output[ModelLists],
    delay_milliseconds: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[None]:
    """Ends once the new routes are served, or when nothing more can be done for it.

    `deployment`: the name of the Envoys'.
    """

    async def wait(values: Sequence[Any]) -> None:
        routes, lists = values
        if routes is None or pulumi.runtime.is_dry_run():
            return
        if routes.first:
            unfinished = await wait_for_rollout(deployment, deployment_reader(name, deployment, opts))
            if unfinished:
                pulumi.warn(unfinished)
        proof = await prove(routes, lists, delay_milliseconds)
        (pulumi.warn if proof.refuted else pulumi.info)(proof.text)

    return pulumi.Output.all(new, lists).apply(wait)
