"""The cut-over: how the gateway passes from one revision of a model's route to the next without losing a request.

    next route ► accepted ► propagation delay ► patch: it is the active one ► delay ► the route before is deleted

Pulumi makes the next route before it deletes the one before, and deletes last of all.  What manifests say of it is in
`manifests/cutover.py`.  All of it works around what the gateway does not do yet, each for a reason of its own:

1. A route of another name for another list of hosts (`revision`).  Envoy AI Gateway 1.1.0 knows a host by its place in
   the list, and the processor beside each Envoy learns of a list seconds after the Envoy does, so that hosts which
   change places under it cost errors for so long.  Labels and annotations are in the name too, as the gateway says
   nothing of a change in these, for which nobody could wait.
   Goes when the processor knows hosts by name, or gets a list together with its Envoy.
2. A patch that makes one route the active one (`patch_resource`).  By itself Envoy Gateway 1.8.3 follows the older of
   two (the Gateway API says so), and a route that goes while it is followed costs requests: for a moment its cluster is
   gone and the route is not (503), or a filter that it names (500).
   Goes with 1, or when Envoy Gateway prefers a route by its own setting and deletes routes without a gap.
3. Two delays (`PropagationDelay`), as nothing tells when a route is known everywhere.  To the processors it comes in a
   secret: Envoy AI Gateway 1.1.0 writes it and touches the pods, whereupon the kubelet brings it there, within seconds
   as a rule, at its next look at the pod otherwise, and the processor looks every 5 s.  Envoy itself follows another
   route within a second.
   Goes when the status of a route tells that Envoys and processors have it.
4. Waiting by time.  Envoy AI Gateway 1.1.0 says when it last accepted or refused a route but not which version, so the
   time of that condition is held against the time at which the version was applied (`managedFields[0].time`).
   Goes when its conditions have an `observedGeneration`.
5. Reading the status after Pulumi has waited (`accepted`).  Pulumi can wait for what is good but not end at what is
   bad, so it waits for any condition on this version; whether both controllers, Envoy AI Gateway on the AIGatewayRoute
   and Envoy Gateway on the HTTPRoute made of it, accept it is read in each `pulumi up`: the next one does not forget
   that a route is refused, nor hold an old refusal against it.  A refusal is believed when it has lasted, as Envoy AI
   Gateway 1.1.0 refuses a good route for a moment when the HTTPRoute was changed while it was at work (seen with quick
   edits), and tries again after 5 ms, then after twice as long, and so on.
   Goes when pulumi-kubernetes ends at a condition, and refusals are final.
6. Deletion in the background (`wait_annotations`).  Envoy AI Gateway 1.1.0 tries once to take its finalizer away.
   Pulumi deletes in the foreground by default; then the cluster's garbage collector changes the object at the same
   time, and one at which the two met stays for ever (about one in ten).
   Goes when Envoy AI Gateway tries again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult
from pulumi.dynamic.dynamic import PROVIDER_KEY

from corral.gateway.manifests.cutover import patch_key, wait_annotations
from corral.gateway.manifests.resource import API_VERSIONS, Resource
from corral.gateway.serving import NewRoutes
from corral.hosts.base import KubernetesObject

_POLL_SECONDS = (1, 1, 2, 4, 8, 16, 32)
"""The pause before each reading of the status.  Envoy Gateway says something of a route within one."""

_REFUSAL_SECONDS = 7
"""A refusal that has lasted so long is believed."""

_ENVOY_DELAY_MILLISECONDS = 10_000
"""The time that the Envoys have to follow another route, which takes them one second."""


def apply(name: str, resource: Resource, opts: pulumi.ResourceOptions) -> KubernetesObject:
    """Applies an object and has Pulumi wait for it as its kind needs."""
    metadata = dict(resource.manifest["metadata"])
    annotations = {**metadata.get("annotations", {}), **wait_annotations(resource.manifest["kind"])}
    if annotations:  # an API server keeps no empty ones, and Pulumi would add them each time
        metadata["annotations"] = annotations
    full_name = f"{name}/{resource.revision}" if resource.revision else name
    return KubernetesObject(full_name, {**resource.manifest, "metadata": metadata}, opts)


@dataclass(frozen=True)
class AcceptedRoute:
    """A model's next route, which both controllers have accepted."""

    name: str
    route: pulumi.Resource
    patch: Resource
    """What makes it the active one; not applied yet."""


def cut_over(
    name: str,
    routes: Mapping[str, AcceptedRoute],
    kept: Sequence[str],
    delay_milliseconds: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[NewRoutes | None]:
    """Makes the models' routes active once they are known everywhere; ends when every Envoy follows them.

    `routes`: by model; `kept`: the models whose route, if they have one, stays as it is.  Gives the routes that were
    made where none was, once all is done; None: there are none.
    """
    started = time.time()
    names = {model: each.name for model, each in routes.items()}

    def delay(part: str, milliseconds: int, after: Sequence[pulumi.Resource]) -> PropagationDelay:
        options = pulumi.ResourceOptions(parent=opts.parent, depends_on=[*after])
        return PropagationDelay(f"{name}-{part}", names, kept, milliseconds, options)

    learned = delay("learned", delay_milliseconds, [each.route for each in routes.values()])
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[learned]))
    patches = [apply(f"{name}-{patch_key(model)}", each.patch, after) for model, each in routes.items()]
    followed = delay("followed", min(delay_milliseconds, _ENVOY_DELAY_MILLISECONDS), patches)
    return pulumi.Output.all(learned.new, learned.first, learned.since, followed.id).apply(
        lambda values: NewRoutes(*values[:3]) if values[0] and (values[2] or 0) >= started else None
    )


@dataclass(frozen=True)
class RouteStatus:
    """The report of a controller on a route."""

    refusal: str = ""
    """Why it is not accepted; empty: it is."""
    reported: bool = True
    """Whether there is a report on this version; otherwise `refusal` says so."""


_UNREPORTED = RouteStatus("Envoy Gateway says nothing of this version of it", reported=False)


def ai_gateway_route_status(status: Mapping[str, Any] | None) -> RouteStatus:
    """The report of Envoy AI Gateway on an AIGatewayRoute."""
    conditions = (status or {}).get("conditions", [])
    for condition in conditions:
        if condition["status"] != "True":
            return RouteStatus(f"Envoy AI Gateway refuses it: {condition['message']}")
    return RouteStatus() if conditions else RouteStatus("Envoy AI Gateway says nothing of it", reported=False)


def http_route_status(generation: float, status: Mapping[str, Any] | None) -> RouteStatus:
    """The report of Envoy Gateway on an HTTPRoute, which has one parent."""
    conditions = {
        condition["type"]: condition
        for parent in (status or {}).get("parents", [])
        for condition in parent["conditions"]
        if condition["observedGeneration"] == generation
    }
    if "Accepted" not in conditions:
        return _UNREPORTED
    for condition in (conditions["Accepted"], conditions.get("ResolvedRefs")):
        if condition and condition["status"] != "True":
            reason, message = condition["reason"], condition["message"].rstrip(".")
            return RouteStatus(f"Envoy Gateway refuses it ({reason}): {message}")
    return RouteStatus()


def accepted(
    name: str, model: str, route: KubernetesObject, opts: pulumi.ResourceOptions
) -> pulumi.Output[pulumi.Resource]:
    """The model's AIGatewayRoute, once it is accepted.  Where it is not, the program ends with the reason.

    A preview reads what the last `pulumi up` did and judges nothing: what is read no more would be a change in it.
    """

    async def when_accepted(metadata: Mapping[str, Any], status: Mapping[str, Any] | None) -> pulumi.Resource:
        if status:  # mocks give none
            path = f"{metadata['namespace']}/{metadata['name']}"
            read = _reader(name, path, status, opts)
            await (read(0) if pulumi.runtime.is_dry_run() else wait_until_accepted(model, path, read))
        return route

    return pulumi.Output.all(route.metadata, route.status).apply(lambda values: when_accepted(*values))


async def wait_until_accepted(
    model: str,
    route: str,
    read: Callable[[int], Awaitable[RouteStatus]],
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Returns once the route, `<namespace>/<name>`, is accepted.  Raises pulumi.RunError where it is not.

    `read`: reads the status as it is now, and is given how often that was done before.
    """
    status, refused_seconds = _UNREPORTED, 0
    for attempt, seconds in enumerate(_POLL_SECONDS):
        await wait(seconds)
        refused_seconds = refused_seconds + seconds if status.reported else 0
        status = await read(attempt)
        if not status.refusal:
            return
        if status.reported and refused_seconds >= _REFUSAL_SECONDS:
            break
    namespace, _, route_name = route.partition("/")
    raise pulumi.RunError(
        f"the route of {model} is not accepted: {status.refusal}. Nothing was deleted. Put that right and run `pulumi "
        "up --refresh`, which makes anew what is gone. "
        f"`kubectl -n {namespace} describe aigatewayroute,httproute {route_name}` shows what the gateway has"
    )


def _reader(
    name: str, route: str, applied_status: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> Callable[[int], Awaitable[RouteStatus]]:
    """`applied_status`: of the AIGatewayRoute as Pulumi has it, good enough as long as it says that all is well."""
    at = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=route))

    def current(kind: str, attempt: int) -> KubernetesObject:
        return KubernetesObject(f"{name}/{kind}/{attempt}", {"apiVersion": API_VERSIONS[kind], "kind": kind}, at)

    async def read(attempt: int) -> RouteStatus:
        status = ai_gateway_route_status(applied_status)
        if attempt or status.refusal:
            status = ai_gateway_route_status(await current("AIGatewayRoute", attempt).status.future())
        if status.refusal:
            return status
        http_route = current("HTTPRoute", attempt)
        metadata: Any = await http_route.metadata.future()
        return http_route_status(metadata["generation"], await http_route.status.future())

    return read


Properties = dict[str, Any]


def is_cut_over(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether a model that had a route has another one; both by model the name of its route."""
    return any(model in after and after[model] != route for model, route in before.items())


def _new(before: Mapping[str, str], after: Mapping[str, str]) -> Properties:
    """What is said of the models that had no route, of which `serving.py` takes care, and since when they have one."""
    return {"new": sorted(after.keys() - before.keys()), "since": time.time()}


def _routes(olds: Properties, news: Properties) -> dict[str, str]:
    """The models' routes from now on: those that stay as they are among them."""
    kept = {model: olds["routes"][model] for model in news.get("kept", ()) if model in olds["routes"]}
    return {**news["routes"], **kept}


class PropagationDelayProvider(ResourceProvider):
    """Waits when routes have changed.

    Pulumi keeps its pickle, which is the name of this class and nothing else, and deletes by the one that it has kept:
    a kept name that is not this one any more is a change, so that the next `pulumi up` puts this one in its place.
    """

    serialize_as_secret_always = False

    def create(self, props: Properties) -> CreateResult:
        return CreateResult("handover", {**props, **_new({}, props["routes"]), "first": True})

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        changed = _olds["routes"] != _routes(_olds, _news) or _olds.get(PROVIDER_KEY) != _news.get(PROVIDER_KEY)
        return DiffResult(changes=changed)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        before, after = _olds["routes"], _routes(_olds, _news)
        if is_cut_over(before, after):
            time.sleep(_news["milliseconds"] / 1000)
        return UpdateResult({**_news, "routes": after, **_new(before, after), "first": False})


class PropagationDelay(pulumi.dynamic.Resource, module="gateway", name="Handover"):
    """The time that what it depends on is given whenever a model has another route; none where no model has."""

    new: pulumi.Output[list[str]]
    """The models that had no route when it last changed."""
    first: pulumi.Output[bool]
    """Whether it was made then."""
    since: pulumi.Output[float]
    """When that was, in seconds of the epoch."""

    def __init__(
        self,
        name: str,
        routes: Mapping[str, str],
        kept: Sequence[str],
        milliseconds: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`routes`: by model the name of its route; `kept`: the models whose route stays as it is."""
        outputs = dict.fromkeys(("new", "first", "since"))
        staying = {"kept": [*kept]} if kept else {}
        inputs = {"routes": dict(routes), **staying, "milliseconds": milliseconds, **outputs}
        super().__init__(PropagationDelayProvider(), name, inputs, opts)
