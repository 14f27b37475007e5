"""The variants of a model: the hosts that are left for the tenants of a residency, and for requests with a need.

Policy.  Tenants with the same residency share a variant; where it allows every host of the model, it leads to the
model's own clusters.  Of each of these there are variants without the hosts that lack something (`plan.capabilities`):
one for each set of hosts that requests can leave out together, with clusters of its own, and none where nobody would be
left, which the gateway's first filter refuses.

In the keys hosts are bits of a number.  Hosts that lack the same have one bit together, so that there are no more sets
than hosts that differ make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from corral.plan.capabilities import Need, needs, other_apis
from corral.plan.plan import ModelPlan, Plan, TenantPlan
from corral.plan.tenants import served_to


@dataclass(frozen=True)
class ModelVariant:
    """One model for the tenants of one residency, or for those without one; all its hosts, or those with no lack."""

    key: str
    """What the model's header says: `llama-3.3-70b eu+us -5`, the last being the bits of the hosts left out."""
    model: ModelPlan
    """With the hosts that are left; where they are not all, its name says which."""
    name: str
    """The model's own name."""


def residency_key(tenant: TenantPlan) -> str | None:
    """What tells the variants of a tenant's residency from others; None: it has none."""
    return "+".join(tenant.residency) if tenant.residency else None


def _of_residencies(plan: Plan, model: ModelPlan) -> Iterator[tuple[str, ModelPlan]]:
    """By residency, without any first, the model with the hosts that are allowed."""
    yield "", model
    live = [target for target in model.targets if target.live]
    strict = {key: each for each in plan.tenants if model.name in each.models and (key := residency_key(each))}
    for residency, tenant in sorted(strict.items()):
        allowed = served_to(model, tenant)
        same = [target for target in allowed.targets if target.live] == live
        yield residency, model if same else replace(allowed, name=f"{model.name} {residency}")


def variants(plan: Plan, model: ModelPlan) -> Iterator[ModelVariant]:
    """The model as it is, and its variants for the tenants that may ask for it, each followed by those with fewer
    hosts."""
    lacks = needs(model)
    bits = _bits(model, lacks)
    left_out = _unions(_mask(need.lacked_by, bits) for need in lacks)
    for residency, allowed in _of_residencies(plan, model):
        key = f"{model.name} {residency}".rstrip()
        yield ModelVariant(key, allowed, model.name)
        every = _mask((target.host for target in allowed.live), bits)
        for mask in sorted({each & every for each in left_out} - {0, every}):
            yield ModelVariant(f"{key} -{mask}", _without(allowed, mask, bits), model.name)


def clustered_models(plan: Plan) -> Iterator[ModelPlan]:
    """Every model that needs clusters: as it is, and variants with fewer hosts but not none."""
    for model in plan.models:
        different = {variant.model.name: variant.model for variant in variants(plan, model)}
        yield from (each for each in different.values() if any(target.live for target in each.targets))


@dataclass(frozen=True)
class NeedsEntry:
    """What the gateway's filter knows of a model of whose hosts not all take the same, or some another API than
    OpenAI's."""

    every: dict[str, int]
    """All hosts, by residency."""
    lacks: dict[str, tuple[str, int]]
    """Per need what it is called, and the hosts that do not take it."""
    outputs: tuple[tuple[int, int], ...]
    """The hosts whose answers have no more than so many tokens, in order."""
    apis: tuple[str, ...] = ()
    """The other APIs that some of them take."""


def needs_entry(plan: Plan, model: ModelPlan) -> NeedsEntry | None:
    """None: all hosts of the model take the same, and none another API than OpenAI's."""
    lacks, apis = needs(model), other_apis(model)
    if not lacks and not apis:
        return None
    bits = _bits(model, lacks)
    return NeedsEntry(
        {
            residency: _mask((target.host for target in allowed.live), bits)
            for residency, allowed in _of_residencies(plan, model)
        },
        {need.name: (need.what, _mask(need.lacked_by, bits)) for need in lacks if need.limit is None},
        tuple((need.limit, _mask(need.lacked_by, bits)) for need in lacks if need.limit is not None),
        tuple(sorted(apis)),
    )


def _bits(model: ModelPlan, lacks: Iterable[Need]) -> dict[str, int]:
    """Per live host its bit."""
    lacking = {target.host: tuple(target.host in need.lacked_by for need in lacks) for target in model.live}
    alike = list(dict.fromkeys(lacking.values()))
    return {host: 1 << alike.index(its) for host, its in lacking.items()}


def _mask(hosts: Iterable[str], bits: Mapping[str, int]) -> int:
    return reduce(lambda mask, host: mask | bits[host], hosts, 0)


def _unions(masks: Iterable[int]) -> set[int]:
    """Each of the masks and whatever several of them are together."""
    unions = {0}
    for mask in masks:
        unions |= {each | mask for each in unions}
    return unions


def _without(model: ModelPlan, mask: int, bits: Mapping[str, int]) -> ModelPlan:
    gone = sorted(target.host for target in model.live if bits[target.host] & mask)
    return replace(model.only(lambda target: target.host not in gone), name=f"{model.name} without {'+'.join(gone)}")
