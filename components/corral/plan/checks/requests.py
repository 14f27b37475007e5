"""Any live host can get any request, the sharing ones by weight and the fallbacks when they stand in: so that each must
be allowed to have it, and able to answer it.

Residency.  No request can reach a region that its model's residency does not allow.  It is proved over every live
target and over every region in which such a host may process a request.  A region that is not known is refused: what
cannot be proved does not hold.

Parity.  A request that one host can answer does not fail because another one got it.  Each live host is measured
against the best of the sharing hosts.  Where something is unknown, on either side, nothing is found.  Limits within a
twentieth of each other are the same limit: hosts call 128,000 and 131,072 tokens both 128k.  The local engine sends a
request where what it needs is taken (`plan.capabilities`), so that there a note says who answers what, and only the
context is left to measure: nobody knows the tokens of a prompt before it is read.

Translation.  What does not speak OpenAI's protocol is translated for, and not on every path.  The adapter, of the local
engine and of a cluster whose stack names its image, sends what it cannot translate to other hosts.  Without it Envoy AI
Gateway answers that itself, for Bedrock; for anything else it has no translation.  It has Anthropic's messages at a
path of its own, for every host, and ranks documents with none that Corral gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from corral.config.problems import listed, number
from corral.plan.capabilities import CAPABILITIES, answering, in_words, lacking
from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import retired
from corral.plan.memory import memoized
from corral.plan.plan import ModelPlan, Plan, Target
from corral.plan.residency import ANYWHERE, stays_within

_AZURE = "which sells Llama on global SKUs only"
"""Azure's list of the models it sells, 2026-07-07: Llama has GlobalStandard, no data zone and no regional SKU."""

_BUILD = (
    "build the adapter's image (docker build --file images/adapter/Dockerfile --tag <registry>/corral-adapter:<version>"
    " . in a clone of Corral), push it, and name it: corral:gateway.adapterImage"
)

_Limit = tuple[str, Callable[[Target], int | None]]
_LIMITS: tuple[_Limit, ...] = (
    ("context", lambda target: target.context),
    ("output", lambda target: target.output),
)


def residency(plan: Plan) -> Iterator[Finding]:
    """Errors: a target that may process a request outside of the allowed regions, or nobody knows where."""
    for model in plan.models:
        if (allowed := model.allowed_regions) is None:
            continue
        for target in model.targets:
            if target.called and not stays_within(target, allowed):
                where, way_out = _refusal(model, target, allowed)
                yield Finding(
                    "error",
                    f"residency/{model.name}/{target.host}",
                    f"{where}; the residency of {model.name} is {listed(model.residency or (), 'and')}",
                    way_out,
                )


def _refusal(model: ModelPlan, target: Target, allowed: frozenset[str]) -> tuple[str, str]:
    """Where the host may process a request, as a clause, and the way out."""
    take_out = f"take it out of corral:models.{model.name}.{'fallback' if target.priority else 'shares'}"
    reaches = target.reaches or ()
    if target.kind == "azure" and (ANYWHERE in reaches or not reaches):
        return f"{target.host} may process a request in any region of Azure, {_AZURE}", take_out
    if ANYWHERE in reaches:
        return f"{target.host} may process a request anywhere", take_out
    if not reaches:
        key = f"corral:hosts.{target.host}.models.{model.name}.reaches"
        way_out = f"{take_out}, or state the regions if you know them: {key}"
        return f"it is not known where {target.host} processes a request", way_out
    outside = [region for region in reaches if region not in allowed]
    named = listed(outside, "and")
    way_out = f"{take_out}, or allow {named} in the residency"
    if {*outside} <= {*target.unplaced}:  # a region of a cloud that the catalog does not know: its place is enough
        places = model.residency or ()
        within = " or ".join(f"[{place}]" for place in places)
        way_out += f", or if {named} is in {listed(places)}, say that: corral:hosts.{target.host}.regions: {within}"
    return f"{target.host} may process a request in {named}", way_out


def translation(plan: Plan) -> Iterator[Finding]:
    """Where a cluster carries the plan out.  Errors: a host for which nothing there translates.  Warnings: a live host
    that is called by Converse, for which Envoy AI Gateway 1.1 translates chats alone
    (internal/endpointspec/endpointspec.go); notes where no other host would, and of those behind the adapter.  And
    warnings of a model that ranks documents, which it asks of hosts of Cohere's schema alone."""
    if plan.engine != "kubernetes":
        return
    for model in plan.models:
        if ranking := [target.host for target in model.live if target.takes.rerank]:
            yield Finding(
                "warning",
                f"translation/{model.name}",
                f"on a cluster nothing answers {model.name} at /v1/rerank, which {listed(ranking, 'and')} would",
                "have clients that rank documents call a gateway of the local engine, or accept it",
            )
    for host in plan.hosts:
        target = next(iter(plan.at(host).values()))
        if target.protocol not in ("openai", "bedrock-converse") and not target.adapted:
            yield Finding(
                "error",
                f"adapter/{host}",
                f"{host} does not speak OpenAI's protocol, Envoy AI Gateway does not translate for it, and the stack "
                "names no image of the adapter, which does",
                f"{_BUILD}, or leave {host} out of the stack's models",
            )
    for model, target in plan.live:
        if target.adapted:
            others = [other.host for other in model.live if other is not target]
            beyond = f"is answered by {listed(others)}" if others else "is refused, as it has no other host"
            yield Finding(
                "note",
                f"translation/{model.name}/{target.host}",
                f"{target.host} is called through the adapter and answers {model.name} at /v1/chat/completions alone: "
                f"what it gets elsewhere, or cannot take, {beyond}",
                "give that host room for it" if others else "name another host of the model for what it does not take",
            )
        if target.protocol != "bedrock-converse" or target.adapted:
            continue
        refused = "; a stream with tools is refused with 400" if target.takes.tools_while_streaming is False else ""
        unstreamed = ", with tools unstreamed" if refused else ""
        yield Finding(
            "warning" if any(other.protocol == "openai" for other in model.live) else "note",
            f"translation/{model.name}/{target.host}",
            f"on a cluster {target.host} answers {model.name} at none of OpenAI's paths but /v1/chat/completions: what "
            f"it gets at /v1/completions or /v1/responses is answered 500, and no other host is tried{refused}",
            f"have clients call /v1/chat/completions{unstreamed}, or call it through the adapter "
            "(corral:gateway.adapterImage), or leave its share to another host, or accept it",
        )


def parity(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: a live host with a smaller limit or fewer capabilities than one that shares the model.  Notes: who
    answers what not all hosts take."""
    for model in plan.models:
        yield from _differences(model, today, routed=plan.engine == "local")


@memoized
def _differences(model: ModelPlan, today: date, *, routed: bool) -> tuple[Finding, ...]:
    return tuple(_parity(model, today, routed=routed))


def _parity(model: ModelPlan, today: date, *, routed: bool) -> Iterator[Finding]:
    if routed and (answers := [each for each in answering(model) if each.hosts]):
        yield Finding(
            "note",
            f"parity/{model.name}",
            f"what not every host of {model.name} takes goes to those that do: {'; '.join(map(in_words, answers))}",
            "give those hosts room for it; where the catalog is wrong of a host, say so: corral:hosts.<host>.takes",
        )
    sharing = [target for target in model.sharing if not retired(target, today)]
    best = [*_best(sharing, _LIMITS[:1] if routed else _LIMITS)]
    for target in model.live if best or not routed else ():
        lacks = [*_limits(target, best)]
        unrouted = [] if routed else [*_capabilities(target, sharing)]
        lacks += unrouted
        if lacks and not retired(target, today):
            other = "let another host stand in" if target.priority else "leave its share to another host"
            yield Finding(
                "warning",
                f"parity/{model.name}/{target.host}",
                f"{target.host} offers less for {model.name} than hosts that share it"
                f"{', and a cluster routes nothing by what it needs' if unrouted else ''}: {'; '.join(lacks)}",
                f"{other}, or accept it if no request needs more",
            )


class _Best(NamedTuple):
    """The highest limit of those that share a model."""

    what: str
    limit: Callable[[Target], int | None]
    value: int
    hosts: list[str]
    """Those that have it."""


def _best(sharing: Sequence[Target], limits: Sequence[_Limit]) -> Iterator[_Best]:
    for what, limit in limits:
        known = {target.host: value for target in sharing if (value := limit(target)) is not None}
        if best := max(known.values(), default=0):
            yield _Best(what, limit, best, [host for host, value in known.items() if value == best])


def _limits(target: Target, best: Sequence[_Best]) -> Iterator[str]:
    for each in best:
        own = each.limit(target)
        if own is not None and own * 20 < each.value * 19:
            yield f"{each.what} {number(own)} ({listed(each.hosts, 'and')}: {number(each.value)})"


def _capabilities(target: Target, sharing: Sequence[Target]) -> Iterator[str]:
    for name in () if target.adapted else lacking(target, "kubernetes"):
        holders = [other.host for other in sharing if getattr(other.takes, name)]
        if holders:
            yield f"no {CAPABILITIES[name]} ({listed(holders, 'and')}: yes)"
