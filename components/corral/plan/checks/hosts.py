"""A model that its host has retired or is about to, and one that its host does not serve to everybody.

The catalog gives the last day on which a host serves a model; the host is refused from the day after.  A drained host
is not looked at: no request reaches it.

Every host that a stack names for a model serves it, and somebody does.

Every host can be called: it has a URL or will get one, and is called from a region that the model allows.

A fallback is a host that has not been tried yet.

A host that is drained and still there.

An entry of the catalog that does not rest on the host's own word.

What a plan costs is known only where every price is.

A guardrail that the engine does not put in front of its host.

Pulumi makes it, and its id is known to what Pulumi makes: the gateway of a cluster.  The local engine provisions
nothing.

A model runs on the GPUs that the stack gives it.

A vLLM host that could have more servers, and nothing that would ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from corral.config.problems import listed
from corral.plan.checks.findings import Finding
from corral.plan.plan import Fit, Misfit, ModelPlan, Plan, Target, Unserved

NOTICE = 90
"""Days before its last one in which a retirement is said."""


def retired(target: Target, today: date) -> bool:
    """Whether the last day on which the host serves the model is over."""
    return target.lifecycle.on is not None and target.lifecycle.on < today


def lifecycle(plan: Plan, today: date) -> Iterator[Finding]:
    """Errors: retired.  Warnings: retired within 90 days, restricted."""
    for model in plan.models:
        for target in model.targets:
            if target.live and target.lifecycle.on:
                yield from _retirement(model, target, target.lifecycle.on, today)
            elif target.live and target.lifecycle.state == "restricted":
                yield Finding(
                    "warning",
                    f"restricted/{model.name}/{target.host}",
                    f"{target.host} restricts {model.name}: {target.lifecycle.why}",
                    f"accept it if you are served, or give the traffic to {_others(model, target)}",
                )


def _retirement(model: ModelPlan, target: Target, last: date, today: date) -> Iterator[Finding]:
    name = f"lifecycle/{model.name}/{target.host}"
    days = (last - today).days
    if days < 0:
        yield Finding(
            "error",
            name,
            f"{target.host} has retired {model.name}: its last day was {last}",
            f"give the traffic to {_others(model, target)}; or if it serves you still, say so: "
            f"corral:hosts.{target.host}.models.{model.name}.lifecycle: available",
        )
    elif days <= NOTICE:
        left = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
        yield Finding(
            "warning",
            name,
            f"{target.host} retires {model.name} {left}: its last day is {last}",
            f"give the traffic to {_others(model, target)} before it is over",
        )


def _others(model: ModelPlan, target: Target) -> str:
    """Where the traffic could go: hosts that the stack names already, else the catalog's, else any."""
    named = tuple(other.host for other in model.targets if other.host != target.host and other.lifecycle.on is None)
    others = named or tuple(host for host in model.served_by if host != target.kind)
    return listed(others) if others else "another host"


def serves(plan: Plan, today: date) -> Iterator[Finding]:
    """Errors: a host that does not serve the model, a placeholder that is not filled in, a model that nobody serves."""
    for model in plan.models:
        for absent in model.unserved:
            yield _absent(model, absent)
        if not any(target.live and not retired(target, today) for target in model.targets):
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
    instead = f", or name {listed(model.served_by)} instead" if model.served_by else ""
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


def address(plan: Plan) -> Iterator[Finding]:
    """Errors: a host without a URL or a region, and a model that cannot be called from its host's region."""
    targets = {target.host: target for model in plan.models for target in model.targets}
    for target in targets.values():
        if target.kind == "bedrock" and not target.region:
            yield Finding(
                "error",
                f"region/{target.host}",
                f"{target.host} has no region to call",
                f"set corral:hosts.{target.host}.region, or aws:region for the whole stack",
            )
        elif not (target.url or target.provisioned or target.kind == "bedrock"):
            yield Finding(
                "error",
                f"url/{target.host}",
                f"{target.host} has no URL, and nothing that is provisioned will give it one",
                f"set corral:hosts.{target.host}.url",
            )
    for model in plan.models:
        for target in model.targets:
            if target.callable_from and target.region and target.region not in target.callable_from:
                yield _elsewhere(model.name, target, target.callable_from)


def _elsewhere(model: str, target: Target, callable_from: tuple[str, ...]) -> Finding:
    return Finding(
        "error",
        f"region/{model}/{target.host}",
        f"{target.host} is called in {target.region}, but {target.model_id} only in {listed(callable_from)}",
        f"set corral:hosts.{target.host}.region to {listed(callable_from)}, or give an id that {target.region} has: "
        f"corral:hosts.{target.host}.models.{model}",
    )


def fallback(plan: Plan) -> Iterator[Finding]:
    """Errors: a fallback that has a share."""
    for model in plan.models:
        shares = {each.host: each.share for each in (*model.targets, *model.unserved)}
        for host in model.repeated:
            yield Finding(
                "error",
                f"fallback/{model.name}/{host}",
                f"{host} is a fallback of {model.name} and has a share of {shares[host]}",
                f"take it out of corral:models.{model.name}.fallback: what another sharing host fails, it gets anyway",
            )


def drained(plan: Plan) -> Iterator[Finding]:
    """Notes: a host that keeps its place and gets no traffic."""
    for model in plan.models:
        for target in model.targets:
            if not target.live:
                yield Finding(
                    "note",
                    f"drained/{model.name}/{target.host}",
                    f"{target.host} is drained for {model.name}: no request reaches it, not even when other hosts fail",
                    f"give it a share, or take it out of corral:models.{model.name}.shares",
                )


def verified(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: an unverified entry of a live target."""
    for model in plan.models:
        for target in model.targets:
            if target.live and not target.verified and not retired(target, today):
                yield Finding(
                    "warning",
                    f"verified/{model.name}/{target.host}",
                    f"that {target.host} serves {model.name} as {target.model_id} is not verified: "
                    f"the catalog has it from {target.source} ({target.as_of})",
                    f"ask the host with `corral verify --stack {plan.stack}`, then accept it",
                )


def price(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: a live target whose price is unknown.  Notes: one on GPUs of one's own, which cost by the hour."""
    for model in plan.models:
        for target in model.targets:
            if not target.live or target.price or retired(target, today):
                continue
            own = target.kind == "vllm"
            unknown = f"the price of {model.name} at {target.host} is unknown"
            yield Finding(
                "note" if own else "warning",
                f"price/{model.name}/{target.host}",
                f"{unknown}: its GPUs cost by the hour, not by the token" if own else unknown,
                f"give it in dollars per million tokens: corral:hosts.{target.host}.models.{model.name}.price",
            )


def guardrail(plan: Plan) -> Iterator[Finding]:
    """Warnings, on the local engine: a live host to which the stack gives a guardrail."""
    if plan.engine != "local":
        return
    for model in plan.models:
        for target in model.targets:
            if target.live and target.guarded:
                yield Finding(
                    "warning",
                    f"guardrail/{model.name}/{target.host}",
                    f"the local engine asks {target.host} for {model.name} without a guardrail: that of "
                    f"corral:hosts.{target.host}.guardrail is made by the kubernetes engine alone",
                    "have AWS enforce one for the account (PutEnforcedGuardrailConfiguration) and take that key out, "
                    "or accept it",
                )


def fit(plan: Plan) -> Iterator[Finding]:
    """Errors: a target, drained ones included, that does not run on the nodes that would be provisioned for it."""
    for model in plan.models:
        for target in model.targets:
            if isinstance(target.fit, Misfit):
                yield Finding("error", f"fit/{model.name}/{target.host}", target.fit.why, target.fit.way_out)


def scaling(plan: Plan) -> Iterator[Finding]:
    """Warnings, where a cluster carries the plan out: a model with room for more servers, whose number stays as it is
    for want of a Prometheus."""
    if plan.engine != "kubernetes":
        return
    for model in plan.models:
        for target in model.targets:
            fit = target.fit
            if isinstance(fit, Fit) and not fit.scaled and fit.most > (kept := max(1, fit.least)):
                yield Finding(
                    "warning",
                    f"scaling/{model.name}/{target.host}",
                    f"{target.host} keeps {kept} server{'' if kept == 1 else 's'} of {model.name}, however many "
                    f"requests wait, and never has the {fit.most} that its nodes could hold: they are not counted",
                    "name the Prometheus that counts them, corral:cluster.prometheus, or lower "
                    f"corral:hosts.{target.host}.gpus.max to what is kept, or accept it",
                )
