"""Which of a model's hosts its route names, where not all of them can be had.

Policy.  A host is there once all that is needed to call it is.  Its models wait for it, but not for long: once the
gateway stands and any host is there, the others have `corral:gateway.hostTimeout`.  Then, or as soon as it has failed
(`corral.hosts.failures`), a model is routed without the host that is missing, by the shares of the others; the host's
name and the reason are printed, and `pulumi up` fails in the end.  The next one tries again, and another list of hosts
is another route (`cutover.py`).

A host that was ready before stays in the route, whatever becomes of a change of it: an update that fails leaves what
was there.  Where one host is to take another's place and is missing, the route stays as it is, as the one that leaves
is still there.  A drained host needs no more than that it can be named: nothing waits for it to be ready until it gets
a share.  A preview takes for granted that all hosts will be there, but for those that refuse already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult
from pulumi.dynamic.dynamic import PROVIDER_KEY

from corral.config.problems import listed, span
from corral.hosts.base import on_mocks
from corral.hosts.endpoint import Endpoint
from corral.hosts.failures import HostFailures
from corral.plan.plan import ModelPlan

Properties = dict[str, Any]

_DRAINED_SECONDS = 5
"""For a drained host that is unchanged to be known as ready; it is no longer waited for."""


def routed_hosts(before: Sequence[str], wanted: Sequence[str], ready: Collection[str]) -> tuple[list[str], bool]:
    """The hosts that a model's route names from now on, and whether it stays as it is: a host that comes in place of
    another one is missing.  `before`: those that it named; `wanted`: those of the plan."""
    there = [host for host in wanted if host in ready or host in before]
    if there != [*wanted] and not set(before) <= set(wanted):
        return [*before], True
    return there, False


class RoutedHostsProvider(ResourceProvider):
    """Remembers which hosts a model's route named before.  Pulumi keeps its pickle, the name of this class."""

    serialize_as_secret_always = False

    def create(self, props: Properties) -> CreateResult:
        return CreateResult("hosts", _outputs([], props))

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in ("wanted", "ready", PROVIDER_KEY)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        return UpdateResult(_outputs(_olds["hosts"], _news))


def _outputs(before: Sequence[str], props: Properties) -> Properties:
    hosts, kept = routed_hosts(before, props["wanted"], props["ready"])
    return {**props, "hosts": hosts, "kept": kept}


class RoutedHosts(pulumi.dynamic.Resource, module="gateway", name="RoutedHosts"):
    """The hosts of a model's route."""

    hosts: pulumi.Output[list[str]]
    kept: pulumi.Output[bool]
    """Whether the route stays as it is."""

    def __init__(self, name: str, wanted: Sequence[str], ready: Sequence[str], opts: pulumi.ResourceOptions) -> None:
        inputs = {"wanted": [*wanted], "ready": [*ready], "hosts": None, "kept": None}
        super().__init__(RoutedHostsProvider(), name, inputs, opts)


State = Literal["ready", "named"] | None
"""Of a host: all is there; it can be named, as drained; it is missing."""


@dataclass(frozen=True)
class Candidate:
    """A host that a model's route is to name."""

    endpoint: Endpoint
    live: bool
    """Whether it gets any request."""
    named: Sequence[pulumi.Resource]
    """What must be there before a route names it."""
    ready: Sequence[pulumi.Resource]
    """What must be there besides before it gets a request."""

    @property
    def is_static(self) -> bool:
        """Whether it can be named whatever becomes of it: nothing of its address is made with it."""
        return isinstance(self.endpoint.hostname, str) and isinstance(self.endpoint.model_id, str)


class Availability:
    """The hosts of one gateway, each of which is there, late or missing."""

    def __init__(
        self,
        name: str,
        gateway: pulumi.Resource,
        timeout_milliseconds: int,
        failures: HostFailures,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`gateway`: what stands when the time of late hosts begins; `opts`: those of what is remembered."""
        self._name, self._gateway, self._opts = name, gateway, opts
        self._timeout, self._failures = timeout_milliseconds, failures
        self._any_ready = asyncio.Event()
        self._late = asyncio.ensure_future(self._wait())
        self._there: set[pulumi.Resource] = set()
        self._missing: dict[str, tuple[str, str]] = {}
        self._without: dict[str, list[str]] = {}

    async def hosts(self, model: ModelPlan, candidates: Mapping[str, Candidate]) -> Sequence[Candidate] | None:
        """The hosts that the model's route names, once that is decided; None: no route is made, and one that is there
        stays as it is.  `candidates`: all of the model's, by host."""
        decided = await asyncio.gather(*(self._state(each) for each in candidates.values()))
        states = dict(zip(candidates, decided, strict=True))
        ready = [host for host, state in states.items() if state == "ready"]
        wanted = [host for host, state in states.items() if state != "named"]
        remembered = RoutedHosts(f"{self._name}-hosts/{model.name}", wanted, ready, self._opts)
        hosts = None if on_mocks() else await remembered.hosts.future()
        kept = hosts is not None and await remembered.kept.future()
        there = {*(ready if hosts is None else hosts)}  # on mocks and in a preview of a change nothing is remembered
        routed = [host for host in candidates if host in there or states[host] == "named"]
        reached = all(states[host] or isinstance(candidates[host].endpoint.model_id, str) for host in routed)
        serves = reached and not kept and any(candidates[host].live for host in routed)
        if serves:
            outcome = f"{model.name} is served by {listed(routed, 'and')}"
        elif kept or routed:
            outcome = f"the route of {model.name} stays as it is"
        else:
            outcome = f"{model.name} has no other host"
        for host in self._missing.keys() & candidates.keys() - {*(routed if serves else ())}:
            self._without.setdefault(host, []).append(outcome)
        return [candidates[host] for host in routed] if serves else None

    def is_there(self, resource: pulumi.Resource) -> bool:
        """Whether it is known to be there."""
        return resource in self._there

    def end(self) -> list[str]:
        """What is missing, a sentence for each host, once everything is decided."""
        self._late.cancel()
        return [self._sentence(host, sorted(outcomes)) for host, outcomes in sorted(self._without.items())]

    async def _state(self, candidate: Candidate) -> State:
        endpoint, live = candidate.endpoint, candidate.live
        proof = asyncio.ensure_future(self._refusal(endpoint, [*candidate.named, *candidate.ready]))
        place = proof if live else asyncio.ensure_future(self._refusal(endpoint, candidate.named))
        failed = self._failures.of(endpoint.host)
        awaited: set[asyncio.Future[Any]] = {place}
        if not pulumi.runtime.is_dry_run():
            awaited.add(self._late)
        if live or not candidate.is_static:
            awaited.add(failed)
        done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if place in done and not live:
            either: set[asyncio.Future[Any]] = {proof, failed}
            await asyncio.wait(either, timeout=_DRAINED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return "ready" if proof.done() and proof.result() is None else "named"
        if place in done:
            reason = place.result()
        elif failed in done:
            reason = failed.result()
        else:
            reason = f"it was not ready {span(self._timeout)} after others were"
        if reason is None:
            self._any_ready.set()
            return "ready"
        self._missing.setdefault(endpoint.host, (reason, endpoint.way_out))
        return None

    async def _refusal(self, endpoint: Endpoint, needs: Sequence[pulumi.Resource]) -> str | None:
        """Once all is there: why the host refuses the model all the same; None: it does not."""
        for resource in needs:
            await resource.urn.future()
            self._there.add(resource)
        return None if endpoint.refusal is None else await endpoint.refusal.future()

    async def _wait(self) -> None:
        await self._gateway.urn.future()
        await self._any_ready.wait()
        await asyncio.sleep(self._timeout / 1000)

    def _sentence(self, host: str, outcomes: Sequence[str]) -> str:
        reason, way_out = self._missing[host]
        parts = (f"{host} is missing: {reason.rstrip('.')}.", f"{'; '.join(outcomes)}.", way_out)
        again = f"The next `pulumi up -s {pulumi.get_stack()}` adds it; with a share of 0 nothing waits for it"
        return " ".join(part for part in (*parts, again) if part)
