"""From a stack and the catalog to the plan.  Pure: no I/O, no clock, and nothing depends on the order of a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corral.catalog.catalog import Catalog
from corral.catalog.prices import NO_REGION, Prices, Released
from corral.config import ramps as config
from corral.config.hosts import Reservation, VllmHost
from corral.config.secrets import HUGGING_FACE
from corral.config.stack import Model, Stack
from corral.plan.gpus import Fit, Nodes
from corral.plan.plan import Listener, ModelPlan, Plan, RequestSettings, SessionHeader, Target, Unserved
from corral.plan.ramps import Ramp, stairs
from corral.plan.residency import allowed
from corral.plan.targets import HostTargets, load
from corral.plan.targets import region as region_of
from corral.plan.tenants import issuers, tenants

_ALL = 100
"""The weight of a fallback: all of the traffic that reaches its priority."""


@dataclass(frozen=True)
class Built:
    """A plan with what it was made of, by one catalog."""

    stack: Stack
    locked: Prices | None
    plan: Plan

    def unchanged(self, stack: Stack, locked: Prices | None) -> dict[str, ModelPlan]:
        """The models of which nothing is other than it was, neither they nor what all models depend on, by name.

        How a model lies on the stack's own GPUs depends on which others are there: with such, none.
        """
        own_gpus = any(isinstance(host, VllmHost) and host.gpus for host in stack.hosts.values())
        of_models = {"models": stack.models, "ramps": stack.ramps}
        if own_gpus or locked != self.locked or self.stack.model_copy(update=of_models) != stack:
            return {}
        before = self.stack
        return {
            model.name: model
            for model in self.plan.models
            if before.models[model.name] == stack.models.get(model.name)
            and before.ramps.get(model.name) == stack.ramps.get(model.name)
        }


def build(stack: Stack, catalog: Catalog, locked: Prices | None = None, former: Built | None = None) -> Plan:
    """The plan of a stack that was read: its models name declared hosts, its hosts are of kinds that the catalog has.

    `locked` are the prices beside the stack file, where the stack does not state one; None: there is no such file, and
    they are those of this release.  Models that are as they were in `former` are those very objects.
    """
    engine = stack.engine
    prices = Released(catalog) if locked is None else locked
    hosts = {name: HostTargets(name, stack, catalog, prices) for name in stack.hosts}
    kept = former.unchanged(stack, locked) if former else {}
    models = tuple(
        kept.get(name) or _model(name, model, stack, catalog, hosts) for name, model in sorted(stack.models.items())
    )
    return Plan(
        stack=stack.name,
        engine=engine.kind,
        models=models,
        request_settings=RequestSettings(
            connect_timeout=engine.connect_timeout,
            idle_timeout=engine.idle_timeout,
            drain_timeout=engine.drain_timeout,
            ejection_time=engine.ejection_time,
            body_limit=engine.body_limit,
            concurrent=engine.concurrent_requests,
            origins=tuple(stack.gateway.origins),
        ),
        accept=tuple(sorted(set(stack.accept))),
        tenants=tenants(stack, catalog),
        issuers=issuers(stack),
        nodes=tuple(_nodes(stack, models, prices)),
        prices_locked=locked is not None,
        trace_headers=engine.trace_headers,
        listener=Listener(engine.address, tls=engine.certificate is not None) if engine.kind == "local" else None,
        cluster=stack.cluster if engine.kind == "kubernetes" else None,
        certificate=stack.gateway.certificate if engine.kind == "kubernetes" else None,
        plain_http=stack.gateway.plain_http if engine.kind == "kubernetes" else False,
        stored=_stored(stack, models),
        versions=stack.gateway.versions if engine.kind == "kubernetes" else None,
        replicas=stack.gateway.replicas if engine.kind == "kubernetes" else None,
    )


def _model(name: str, model: Model, stack: Stack, catalog: Catalog, hosts: Mapping[str, HostTargets]) -> ModelPlan:
    repeated = [host for host in model.fallback if model.shares.get(host)]
    fallback = [host for host in model.fallback if host not in repeated]
    sharing = {host: share for host, share in sorted(model.shares.items()) if host not in fallback}
    targets: list[Target] = []
    unserved: list[Unserved] = []
    last = 0
    for host in (*sharing, *fallback):
        share = sharing.get(host, 0)
        weight, priority = (share, 0) if host in sharing else (_ALL, last + 1)
        match hosts[host].serve(name, share=share, weight=weight, priority=priority):
            case Target() as target:
                copied = model.mirror.percent if model.mirror and model.mirror.to == host else 0
                targets.append(replace(target, mirrored=copied) if copied else target)
                last = target.priority
            case Unserved() as absent:
                unserved.append(absent)
    residency = model.residency or stack.residency
    return ModelPlan(
        name=name,
        targets=tuple(targets),
        unserved=tuple(unserved),
        residency=tuple(sorted(set(residency))) if residency else None,
        allowed_regions=allowed(residency, catalog) if residency else None,
        volume=model.volume,
        peak=load(model.peak) if model.peak else None,
        repeated=tuple(sorted(repeated)),
        served_by=_served_by(name, catalog),
        least_shares=model.least_shares,
        affinity=model.affinity and (SessionHeader(model.affinity.header) if model.affinity != "prompt" else "prompt"),
        ramp=_ramp(stack.ramps[name], sharing) if name in stack.ramps else None,
    )


def _stored(stack: Stack, models: Sequence[ModelPlan]) -> tuple[str, ...]:
    if not stack.secret_store:
        return ()
    used = {HUGGING_FACE, *(target.host for model in models for target in model.targets)}
    return tuple(sorted(used & stack.secret_store.keys.keys()))


def _ramp(ramp: config.Ramp, shares: dict[str, int]) -> Ramp:
    begun = {host: ramp.start.get(host, 0) for host in shares} if ramp.start else shares
    return Ramp(
        stairs=stairs(begun, ramp.to, ramp.step),
        begun=ramp.start is not None,
        every=ramp.every,
        least=ramp.least,
        errors=ramp.guard.errors,
        first_byte_p95=ramp.guard.first_byte_p95,
        cost_per_million=ramp.guard.cost_per_million,
        paused=ramp.paused,
    )


def _nodes(stack: Stack, models: Sequence[ModelPlan], prices: Prices) -> Iterator[Nodes]:
    for name, host in sorted(stack.hosts.items()):
        gpus = host.gpus if isinstance(host, VllmHost) else None
        if gpus is None:
            continue
        fits = [target.fit for model in models for target in model.targets if target.host == name]
        fitted = [fit for fit in fits if isinstance(fit, Fit)]
        if not fitted:
            continue
        kept = sum((fit.least if fit.scaled else max(1, fit.least)) * fit.gpus for fit in fitted)
        least = max(gpus.min, -(-kept // fitted[0].node))
        region = region_of(host, stack) or NO_REGION
        bought = gpus.capacity_type
        purchase = "reserved" if isinstance(bought, Reservation) else bought
        price = prices.hour(region, gpus.instance)
        hourly = {"onDemand": price.on_demand, "spot": price.spot, "reserved": price.reserved} if price else {}
        yield Nodes(
            host=name,
            instance=gpus.instance,
            region=region,
            purchase=purchase,
            least=least,
            most=gpus.max if any(fit.scaled for fit in fitted) else least,
            hourly=hourly.get(purchase),
            source=price and price.source,
            review_by=price and price.review_by,
        )


def _served_by(model: str, catalog: Catalog) -> tuple[str, ...]:
    return tuple(
        name
        for name, entry in sorted(catalog.hosts.items())
        if not entry.placeholder and model in entry.models and entry.models[model].lifecycle == "available"
    )
