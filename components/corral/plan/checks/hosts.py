"""The hosts that a stack names for its models: each serves its model, can be called, is there, and costs what is known.

Policy.  Nobody asks of a drained host what only matters to requests: none reaches it.  Nor does anybody ask for the
price of a model that its host has retired, or whether its entry in the catalog is right: that is the least of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address
from urllib.parse import urlsplit

from corral.config.problems import listed
from corral.plan.capabilities import Engine
from corral.plan.checks.findings import Finding
from corral.plan.gpus import Fit, Misfit
from corral.plan.memory import memoized
from corral.plan.plan import Load, ModelPlan, Plan, Target, Unserved
from corral.plan.residency import are_regions

_NOTICE_DAYS = 90
"""Days before its last one in which a retirement is announced."""

_LARGE_SHARE = 75
"""Percent of a model's requests above which the other hosts would get more than four times what they have."""


def hosts(plan: Plan, today: date) -> Iterator[Finding]:
    """What there is to say of each host, of each model, and of each model at each of its hosts."""
    for target in plan.hosts.values():
        yield from _address(target)
    for model in plan.models:
        yield from _of_model(model, plan.engine, plan.stack, today)


@memoized
def _of_model(model: ModelPlan, engine: Engine, stack: str, today: date) -> tuple[Finding, ...]:
    of_targets = (finding for target in model.targets for finding in _of_target(model, target, engine, stack, today))
    return (*_serves(model, today), *_fallback(model), *_alone(model), *of_targets)


def _of_target(model: ModelPlan, target: Target, engine: Engine, stack: str, today: date) -> Iterator[Finding]:
    if target.callable_from:
        yield from _region(model, target)
    if engine == "kubernetes" and (unknown := unpermitted(model.name, target)):
        yield Finding("error", f"permissions/{model.name}/{target.host}", *unknown)
    if isinstance(target.fit, Misfit):
        yield Finding("error", f"fit/{model.name}/{target.host}", target.fit.why, target.fit.way_out)
    elif target.fit and engine == "kubernetes":
        yield from _scaling(model, target, target.fit)
    if not target.live:
        yield Finding(
            "note",
            f"drained/{model.name}/{target.host}",
            f"{target.host} is drained for {model.name}: no request reaches it, not even when other hosts fail"
            + (f", but {target.mirrored}% of them are copied to it" if target.mirrored else ""),
            f"give it a share, or take it out of corral:models.{model.name}.shares",
        )
        return
    if target.lifecycle.state != "available":
        yield from _lifecycle(model, target, today)
    if target.guarded and engine == "local":
        yield _guardrail(model, target)
    if target.overflow_wait and engine == "local" and target.limit == target.host_limit == Load():
        yield _never_full(model, target)
    if not retired(target, today):
        if not target.verified:
            yield _unverified(model, target, stack)
        if not target.price:
            yield _unpriced(model, target)


def retired(target: Target, today: date) -> bool:
    """Whether the last day on which the host serves the model is over."""
    return target.lifecycle.on is not None and target.lifecycle.on < today


def _address(target: Target) -> Iterator[Finding]:
    """Errors: no URL, nor one to come; no region, for Bedrock.  Warnings: a key that is sent without TLS.

    A key to this machine, or to a service of the cluster, by a name that only the cluster knows, leaves neither.
    """
    host = target.host
    if target.kind == "bedrock" and not target.region:
        yield Finding(
            "error",
            f"region/{host}",
            f"{host} has no region to call",
            f"set corral:hosts.{host}.region, or aws:region for the whole stack",
        )
    elif not target.url and not target.provisioned and target.kind != "bedrock":
        yield Finding(
            "error",
            f"url/{host}",
            f"{host} has no URL, and nothing that is provisioned will give it one",
            f"set corral:hosts.{host}.url",
        )
    url = urlsplit(target.url or "")
    if url.scheme == "http" and target.credential.header and not _is_near(url.hostname or ""):
        yield Finding(
            "warning",
            f"tls/{host}",
            f"the key of {host} is sent to {url.netloc} without TLS: whoever is on the way can read it",
            f"give an https:// URL, corral:hosts.{host}.url, or `auth: none` if it wants no key, or accept it",
        )


def _is_near(hostname: str) -> bool:
    """Whether what is sent there stays on this machine or within a cluster: loopback, or a Kubernetes service."""
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return "." not in hostname or hostname.endswith((".localhost", ".svc", ".cluster.local"))


def _serves(model: ModelPlan, today: date) -> Iterator[Finding]:
    """Errors: a host that does not serve the model, a placeholder that is not filled in, a model that nobody serves."""
    for absent in model.unserved:
        yield _absent(model, absent)
    if all(retired(target, today) for target in model.live):
        yield Finding(
            "error",
            f"serves/{model.name}",
            f"no host that corral:models.{model.name} names serves it",
            f"name {listed(model.served_by)}, where the catalog has it"
            if model.served_by
            else "name a host of your own that serves it: the catalog knows of none",
        )


def _absent(model: ModelPlan, absent: Unserved) -> Finding:
    keys = listed(absent.keys, "and")
    if absent.kind == "vllm" and absent.keys == (f"corral:hosts.{absent.host}.models.{model.name}",):
        keys += ": <the name it is served by>"
    others = _catalogued(model, absent.kind)
    instead = f", or name {listed(others)} instead" if others else ""
    if absent.placeholder:
        return Finding(
            "error",
            f"placeholder/{model.name}/{absent.host}",
            f"{absent.host} cannot serve {model.name} as it stands: {absent.why}",
            f"fill in {keys} once it does{instead}",
        )
    return Finding(
        "error",
        f"serves/{model.name}/{absent.host}",
        f"{absent.host} does not serve {model.name}: {absent.why}",
        f"fill in {keys}{instead}",
    )


def _fallback(model: ModelPlan) -> Iterator[Finding]:
    """Errors: a fallback that is none, as it has a share and so is tried before any fallback."""
    shares = {each.host: each.share for each in (*model.targets, *model.unserved)}
    for host in model.repeated:
        yield Finding(
            "error",
            f"fallback/{model.name}/{host}",
            f"{host} is a fallback of {model.name} and has a share of {shares[host]}",
            f"take it out of corral:models.{model.name}.fallback: what another sharing host fails, it gets anyway",
        )


def _alone(model: ModelPlan) -> Iterator[Finding]:
    """Notes: a host with so large a share that the others could hardly take it, or without others, and no fallback."""
    if model.fallbacks or not model.sharing:
        return
    largest = max(model.sharing, key=lambda target: target.share)
    others = [target.host for target in model.sharing if target is not largest]
    if largest.share > _LARGE_SHARE:
        yield Finding(
            "note",
            f"fallback/{model.name}",
            f"when {largest.host} fails, {listed(others, 'and')} must take its {largest.share} of 100 requests for "
            f"{model.name} beside {100 - largest.share}, and there is no fallback"
            if others
            else f"when {largest.host} fails, nobody answers for {model.name}: there is no fallback",
            f"name one, corral:models.{model.name}.fallback, or accept it",
        )


def _region(model: ModelPlan, target: Target) -> Iterator[Finding]:
    """Errors: a model that cannot be called from its host's region."""
    regions = target.callable_from
    if regions and target.region and target.region not in regions:
        yield Finding(
            "error",
            f"region/{model.name}/{target.host}",
            f"{target.host} is called in {target.region}, but {target.model_id} only in {listed(regions)}",
            f"set corral:hosts.{target.host}.region to {listed(regions)}, or give an id that {target.region} has: "
            f"corral:hosts.{target.host}.models.{model.name}",
        )


def unpermitted(model: str, target: Target) -> tuple[str, str] | None:
    """Why no permission can be written for a model at Bedrock that allows it and nothing else, and the way out."""
    if target.kind != "bedrock":
        return None
    key = f"corral:hosts.{target.host}.models.{model}"
    if target.base_model is None:
        return (
            f"which foundation model is behind {target.model_id} is not known",
            f"give {key}.id the id of an inference profile, and the host `costTags` if its costs are to be told apart",
        )
    regions = target.reaches or ()
    if are_regions(regions):
        return None
    extent = f"only as {listed(regions, 'and')}" if regions else "not at all"
    command = f"`aws bedrock get-inference-profile --inference-profile-identifier {target.model_id}`"
    return (
        f"the regions in which {target.host} processes {model} are known {extent}",
        f"list them under {key}.reaches, as {command} names them",
    )


def _scaling(model: ModelPlan, target: Target, fit: Fit) -> Iterator[Finding]:
    """Warnings, where a cluster carries the plan out: a model with room for more servers, whose number stays as it is
    for want of a Prometheus that would ask for them."""
    if not fit.scaled and fit.most > (kept := max(1, fit.least)):
        yield Finding(
            "warning",
            f"scaling/{model.name}/{target.host}",
            f"{target.host} keeps {kept} server{'' if kept == 1 else 's'} of {model.name}, however many requests wait, "
            f"and never has the {fit.most} that its nodes could hold: they are not counted",
            "name the Prometheus that counts them, corral:cluster.prometheus, or lower "
            f"corral:hosts.{target.host}.gpus.max to what is kept, or accept it",
        )


def _lifecycle(model: ModelPlan, target: Target, today: date) -> Iterator[Finding]:
    """Errors: retired, from the day after the last.  Warnings: retired within 90 days, restricted."""
    name, host, last = f"{model.name}/{target.host}", target.host, target.lifecycle.on
    days = (last - today).days if last else None
    if target.lifecycle.state == "restricted":
        yield Finding(
            "warning",
            f"restricted/{name}",
            f"{host} restricts {model.name}: {target.lifecycle.why}",
            f"accept it if you are served, or give the traffic to {_others(model, target)}",
        )
    elif days is not None and days < 0:
        yield Finding(
            "error",
            f"lifecycle/{name}",
            f"{host} has retired {model.name}: its last day was {last}",
            f"give the traffic to {_others(model, target)}; or if it serves you still, say so: "
            f"corral:hosts.{host}.models.{model.name}.lifecycle: available",
        )
    elif days is not None and days <= _NOTICE_DAYS:
        left = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
        yield Finding(
            "warning",
            f"lifecycle/{name}",
            f"{host} retires {model.name} {left}: its last day is {last}",
            f"give the traffic to {_others(model, target)} before it is over",
        )


def _others(model: ModelPlan, target: Target) -> str:
    """Where the traffic could go: hosts that the stack names already, else the catalog's, else any."""
    named = tuple(other.host for other in model.targets if other.host != target.host and other.lifecycle.on is None)
    others = named or _catalogued(model, target.kind)
    return listed(others) if others else "another host"


def _catalogued(model: ModelPlan, kind: str) -> tuple[str, ...]:
    """The catalog's hosts of the model, other than that of the kind: no host is the way out of itself."""
    return tuple(host for host in model.served_by if host != kind)


def _guardrail(model: ModelPlan, target: Target) -> Finding:
    """A guardrail, on the local engine.  Pulumi makes it, and only the gateway of a cluster knows its id."""
    return Finding(
        "warning",
        f"guardrail/{model.name}/{target.host}",
        f"the local engine asks {target.host} for {model.name} without a guardrail: that of "
        f"corral:hosts.{target.host}.guardrail is made by the kubernetes engine alone",
        "have AWS enforce one for the account (PutEnforcedGuardrailConfiguration) and take that key out, or accept it",
    )


def _never_full(model: ModelPlan, target: Target) -> Finding:
    return Finding(
        "warning",
        f"overflow/{model.name}/{target.host}",
        f"no limit of {target.host} is known for {model.name}: it is never full, and no request waits for it",
        f"give corral:hosts.{target.host}.limits, or leave its overflow out",
    )


def _unverified(model: ModelPlan, target: Target, stack: str) -> Finding:
    """An entry of the catalog that does not rest on the host's own word."""
    key = f"{variable}=… " if (variable := target.credential.variable) else ""
    return Finding(
        "warning",
        f"verified/{model.name}/{target.host}",
        f"that {target.host} serves {model.name} as {target.model_id} is not verified: "
        f"the catalog has it from {target.source} ({target.as_of})",
        f"ask the host with `{key}corral verify --stack {stack}`, then accept it",
    )


def _unpriced(model: ModelPlan, target: Target) -> Finding:
    """A warning: an unknown price, as what a plan costs is known only where every price is.  A note: that of a vLLM
    which the stack does not provision, whose GPUs cost by the hour."""
    unknown, own = f"the price of {model.name} at {target.host} is unknown", target.kind == "vllm"
    given = f"give it in dollars per million tokens: corral:hosts.{target.host}.models.{model.name}.price"
    return Finding(
        "note" if own else "warning",
        f"price/{model.name}/{target.host}",
        f"{unknown}: its GPUs cost by the hour, not by the token" if own else unknown,
        given if own else f"see whether `corral prices lock` finds it, or {given}",
    )


def prices(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: GPU nodes of unknown cost.  Notes: prices that are in no file of the stack's, or are to be looked at
    again."""
    for nodes in plan.nodes:
        if nodes.hourly is None:
            yield Finding(
                "warning",
                f"price/{nodes.host}",
                f"what an hour of {nodes.instance} costs in {nodes.region}, bought {nodes.purchase}, is unknown: so is "
                f"what {nodes.host} costs",
                f"give it with its source in prices.lock.yaml: hours.{nodes.region}.{nodes.instance}.{nodes.purchase}",
            )
    if not plan.prices_locked:
        yield Finding(
            "note",
            "prices",
            "the prices are those that this release of Corral knows, and change with it",
            "write them down beside the stack file: `corral prices lock`",
        )
    past = [name for model in plan.models for name in _past(model, today)]
    past += [f"{nodes.instance} of {nodes.host}" for nodes in plan.nodes if (day := nodes.review_by) and day < today]
    if past:
        yield Finding(
            "note",
            "prices/review",
            f"the prices of {', '.join(past)} were to be looked at again",
            "`corral prices refresh` brings those of the lists up to date; look up your own, and set their reviewBy",
        )


@memoized
def _past(model: ModelPlan, today: date) -> tuple[str, ...]:
    """What has a price that was to be looked at before this day."""
    prices = ((target.host, target.price) for target in model.live if target.price)
    return tuple(f"{model.name} at {host}" for host, price in prices if price.review_by and price.review_by < today)
