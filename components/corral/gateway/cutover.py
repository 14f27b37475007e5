"""Whether the gateway has accepted a model's route, and why not.

Two controllers have a word: Envoy AI Gateway on the AIGatewayRoute, and Envoy Gateway on the HTTPRoute that it makes of
it.  Pulumi waits for a word of the first on this version of the route, whatever it is.  Here it is read what they say
now, in each `pulumi up`: the next one does not forget that a route is refused, nor hold an old refusal against it.

A refusal is believed when it has lasted.  Envoy AI Gateway 1.1.0 refuses a good route for a moment when the HTTPRoute
was changed while it was at work (seen with quick edits), and tries again after 5 ms, then after twice as long, and so
on.

The times of a hand-over from a model's route to the next one, which has another list of hosts.

    the next route ► the processors learn of it ► it is followed ► every Envoy follows it ► the route before goes

Pulumi makes the next route before it deletes the one before, and deletes last of all.  In between two things take time,
and nothing tells when they are done.  To the processor beside each Envoy a route comes in a secret: the controller
writes it and touches the pods, whereupon the kubelet brings it there, within seconds as a rule, at its next look at the
pod otherwise, and the processor looks every 5 s.  Envoy itself follows another route within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from corral.gateway.manifests.resource import AI_GATEWAY, GATEWAY_API
from corral.gateway.names import NAMESPACE
from corral.hosts.base import KubernetesObject

_PAUSES = (1, 1, 2, 4, 8, 16, 32)
"""Seconds before each look.  Envoy Gateway says something of a route within one."""

_AI_GATEWAY_ROUTE = {"apiVersion": f"{AI_GATEWAY}/v1beta1", "kind": "AIGatewayRoute"}
_HTTP_ROUTE = {"apiVersion": f"{GATEWAY_API}/v1", "kind": "HTTPRoute"}

_LASTING = 7
"""Seconds for which a refusal has lasted when it is believed."""


@dataclass(frozen=True)
class Word:
    """What is said of a route."""

    why: str = ""
    """Why it is not accepted; empty: it is."""
    known: bool = True
    """Whether it is said of this version."""


_NOTHING = Word("Envoy Gateway says nothing of this version of it", known=False)


def accepted(
    name: str, model: str, route: KubernetesObject, opts: pulumi.ResourceOptions
) -> pulumi.Output[pulumi.Resource]:
    """The model's AIGatewayRoute, once it is accepted.  Where it is not, the program ends with the reason.

    A preview reads what the last `pulumi up` did and judges nothing: what is read no more would be a change in it.
    """

    async def judged(given: list[Any]) -> pulumi.Resource:
        called, status = given
        if status:  # mocks give none
            look = _looking(name, called, status, opts)
            await (look(0) if pulumi.runtime.is_dry_run() else judge(model, called, look))
        return route

    return pulumi.Output.all(route.metadata["name"], route.status).apply(judged)


async def judge(
    model: str,
    route: str,
    look: Callable[[int], Awaitable[Word]],
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Returns once the route of that name is accepted.  Raises pulumi.RunError where it is not.

    `look`: reads what is said now, and is told how many looks there were.
    """
    word, refused_for = _NOTHING, 0
    for looks, seconds in enumerate(_PAUSES):
        await wait(seconds)
        refused_for = refused_for + seconds if word.known else 0
        word = await look(looks)
        if not word.why:
            return
        if word.known and refused_for >= _LASTING:
            break
    raise pulumi.RunError(
        f"the route of {model} is not accepted: {word.why}. Nothing was deleted. Put that right and run `pulumi up` "
        f"again. `kubectl -n {NAMESPACE} describe aigatewayroute,httproute {route}` shows what the gateway has"
    )


def word_on_route(status: Mapping[str, Any] | None) -> Word:
    """What Envoy AI Gateway says of an AIGatewayRoute."""
    conditions = (status or {}).get("conditions", [])
    for each in conditions:
        if each["status"] != "True":
            return Word(f"Envoy AI Gateway refuses it: {each['message']}")
    return Word() if conditions else Word("Envoy AI Gateway says nothing of it", known=False)


def word_on_http_route(generation: float, status: Mapping[str, Any] | None) -> Word:
    """What Envoy Gateway says of an HTTPRoute, which has one parent."""
    said = {
        each["type"]: each
        for parent in (status or {}).get("parents", [])
        for each in parent["conditions"]
        if each["observedGeneration"] == generation
    }
    if "Accepted" not in said:
        return _NOTHING
    for each in (said["Accepted"], said.get("ResolvedRefs")):
        if each and each["status"] != "True":
            return Word(f"Envoy Gateway refuses it ({each['reason']}): {each['message'].rstrip('.')}")
    return Word()


def _looking(
    name: str, route: str, status: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> Callable[[int], Awaitable[Word]]:
    """`status`: of the AIGatewayRoute as Pulumi has it, good enough as long as it says that all is well."""
    at = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=f"{NAMESPACE}/{route}"))

    async def look(looks: int) -> Word:
        word = word_on_route(status)
        if looks or word.why:
            now = KubernetesObject(f"{name}/AIGatewayRoute/{looks}", _AI_GATEWAY_ROUTE, at)
            word = word_on_route(await now.status.future())
        if word.why:
            return word
        made = KubernetesObject(f"{name}/HTTPRoute/{looks}", _HTTP_ROUTE, at)
        metadata: Any = await made.metadata.future()
        return word_on_http_route(metadata["generation"], await made.status.future())

    return look


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
