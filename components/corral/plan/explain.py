"""A model's plan in words: where a request can go, in which order, with which limits and timeouts, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from corral.config.problems import listed, number, size, span
from corral.plan.capabilities import CAPABILITIES, answering, lacking
from corral.plan.checks.findings import Finding
from corral.plan.checks.peaks import amounts
from corral.plan.failover import (
    INCAPABLE_STATUS,
    MAX_ADDRESSES,
    REFUSED_STATUS,
    SELECTION_ATTEMPTS,
    THROTTLED_STATUS,
    retries_by_priority,
)
from corral.plan.money import Monthly, Unpriced, blended, dollars, dollars_and_cents, monthly
from corral.plan.plan import OWN_GPUS, Load, ModelPlan, Plan, RequestSettings, SessionHeader, Target
from corral.plan.residency import ANYWHERE, stays_within
from corral.plan.tenants import who_may_ask

_WIDTH = 100


def explain(model: ModelPlan, plan: Plan, findings: Sequence[Finding]) -> str:
    """Plain text in wrapped paragraphs, for a person at a terminal; `findings` are those of the whole plan."""
    callers = [*who_may_ask(model, plan)]
    paragraphs = [
        f"{model.name} in stack {plan.stack}, on the {plan.engine} engine",
        _items(_places(model)),
        *(map(_wrapped, _course(model, plan)) if model.live else ["No request can go anywhere."]),
        _items(callers) if len(callers) > 1 else _wrapped(callers),
        _items(_sentence(finding) for finding in findings if _concerns(finding, model, plan)),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _course(model: ModelPlan, plan: Plan) -> Iterator[Iterator[str]]:
    """The paragraphs, as sentences, of a model that a request can reach."""
    if model.affinity and plan.engine == "local":
        yield _sessions(model.affinity)
    yield _failure(model, plan)
    yield _afterwards(model.live, plan.request_settings)
    yield _limits(model, plan)
    yield _residency(model)
    yield _money(model)


def _concerns(finding: Finding, model: ModelPlan, plan: Plan) -> bool:
    hosts = {each.host for each in (*model.targets, *model.unserved)}
    tenants = {tenant.name for tenant in plan.tenants_of(model.name)}
    both = {*(f"{model.name}/{host}" for host in hosts), *(f"{tenant}/{model.name}" for tenant in tenants)}
    return finding.name.partition("/")[2] in {model.name, *hosts, *both}


def _places(model: ModelPlan) -> Iterator[str]:
    hundred = " of 100 requests"
    for target in model.targets:
        if target.priority > 0:
            yield f"Fallback {target.priority} is {target.host}, in the order of the stack: {_way(target)}."
        elif target.live:
            yield f"{target.share}{hundred} go to {target.host}, because the stack gives it that share: {_way(target)}."
            hundred = ""
        else:
            yield f"None go to {target.host}, not even when other hosts fail, because its share is 0: it is drained."
    for absent in model.unserved:
        role = f"share {absent.share}" if absent.role == "share" else "a fallback"
        yield f"None can go to {absent.host}, which the stack names ({role}): {absent.why}."


def _way(target: Target) -> str:
    """How the host is called and where it processes."""
    where = f" in {target.region}" if target.region else ""
    if target.url:
        address = f" at {target.url}"
    else:
        address = " once it is provisioned" if target.provisioned else " at a URL that is missing"
    if target.reaches is None:
        processed = "processed in regions that are not known"
    elif ANYWHERE in target.reaches:
        processed = "processed anywhere"
    else:
        processed = f"processed in {listed(target.reaches)}"
    return f"as {target.model_id}, called{where}{address}, {processed}"


def _sessions(affinity: Literal["prompt"] | SessionHeader) -> Iterator[str]:
    common = f"header {affinity.header}" if isinstance(affinity, SessionHeader) else "system prompt and first message"
    yield (
        f"Requests with the same {common} go to the same host as long as it takes them, so that it has their prompt in "
        "its cache: the shares are those of such sessions. What has none goes to any host."
    )


def _failure(model: ModelPlan, plan: Plan) -> Iterator[str]:
    settings = plan.request_settings
    refused, incapable = (listed([str(each) for each in statuses]) for statuses in (REFUSED_STATUS, INCAPABLE_STATUS))
    yield (
        "A request that has not got the first byte of its answer leaves its host when connecting fails or takes longer "
        f"than {span(settings.connect_timeout)}, when the connection is reset, when the host answers "
        f"{THROTTLED_STATUS} or 5xx, when it answers {refused} (a wrong key, a model that is gone), {incapable} (no "
        f"credit, no room for it now) or a redirect (a wrong URL), and when it is silent for "
        f"{span(settings.idle_timeout)}, once."
    )
    others = "the other sharing hosts by their weights, each at most once"
    fallbacks = f"the fallbacks in order ({', '.join(target.host for target in model.fallbacks)})"
    match len(model.sharing) > 1, bool(model.fallbacks):
        case True, True:
            yield f"It goes to {others}, and then to {fallbacks}."
        case True, False:
            yield f"It goes to {others}; there is no fallback."
        case False, True:
            yield f"It goes to {fallbacks}."
        case _:
            yield "There is no other host that it could go to: the client gets the host's answer, or 503."
            return
    if plan.engine == "kubernetes" and len(model.sharing) > 1:
        yield (
            "A retry finds one that was not tried, whatever the shares: of 100 draws each host has as many as its "
            f"share, and a retry draws up to {SELECTION_ATTEMPTS} times."
        )
    if plan.engine == "kubernetes" and not model.fallbacks:
        _, retries = retries_by_priority(model, tuple(model.shares))
        yield (
            f"Each address of a host's name counts as a host: up to {retries} retries may follow, so that a host that "
            f"fails may have {MAX_ADDRESSES} addresses."
        )
    yield "When none is left, the client gets the last answer that there was, or 503."


def _afterwards(live: Sequence[Target], settings: RequestSettings) -> Iterator[str]:
    yield "After the first byte nothing is tried again."
    yield (
        "A stream may take as long as it needs: it is cut only when its host is silent for "
        f"{span(settings.idle_timeout)}. An answer that is not streamed has as long in all."
    )
    if len(live) > 1:
        left_out = f"left out for {span(settings.ejection_time)}, longer each time after that"
        yield f"A host that fails again and again is {left_out}, and the others take its share."
    yield f"A host that is removed has {span(settings.drain_timeout)} to finish what it has begun."


def _limits(model: ModelPlan, plan: Plan) -> Iterator[str]:
    settings, live = plan.request_settings, model.live
    yield from _least("context (prompt and answer together)", live, lambda target: target.context)
    yield from _least("limit of an answer", live, lambda target: target.output)
    yield from _unrouted(live) if plan.engine == "kubernetes" else _refused(model)
    yield f"A request's body may have {size(settings.body_limit)}; a larger one gets 413."
    if settings.concurrent and plan.engine == "local":
        yield (
            f"{settings.concurrent} requests may be under way at once, {settings.concurrent_of_normal} of them of "
            "tenants of normal priority; one more gets 503."
        )
    yield from _full(live, plan)


def _full(live: Sequence[Target], plan: Plan) -> Iterator[str]:
    """What becomes of requests that are too much for a host."""
    for target in live:
        limits = [amounts(limit) for limit in (target.limit, target.host_limit) if limit != Load()]
        if limits and plan.engine == "local" and len(live) > 1:
            taken = ", and of all models ".join(limits)
            then = "goes to the next host at once"
            if target.overflow_wait:
                then = f"waits there for up to {span(target.overflow_wait)}, and goes to the next host then"
            yield f"{target.host} takes {taken}; what is more {then}."
        elif target.limit.tokens is not None:
            yield f"{target.host} takes {number(target.limit.tokens)} tokens a minute; beyond that it answers 429."
    if plan.engine == "kubernetes" and any(limit != Load() for each in live for limit in (each.limit, each.host_limit)):
        yield "On a cluster no limit of a host is counted: a full one is asked, and a vLLM has what is too much wait."


def _refused(model: ModelPlan) -> Iterator[str]:
    """What no host takes; who takes what not all do is a finding."""
    nobody = [what for answers in answering(model) if not answers.hosts for what in answers.what]
    if nobody:
        yield f"No host takes {listed(nobody)}: a request that needs it gets 400."


def _unrouted(live: Sequence[Target]) -> Iterator[str]:
    """What not every host takes, where a request is not routed by it."""
    lacks = {target.host: lacking(target, "kubernetes") for target in live if not target.adapted}
    for name, what in CAPABILITIES.items():
        without = [host for host, names in lacks.items() if name in names]
        if without:
            yield f"No {what} at {listed(without, 'and')}."
    if any(lacks.values()):
        yield "On a cluster a request is not routed by what it needs: such a host may get it all the same."


def _least(what: str, live: Sequence[Target], limit: Callable[[Target], int | None]) -> Iterator[str]:
    known = {target.host: limit(target) for target in live}
    values = [value for value in known.values() if value is not None]
    unknown = [host for host, value in known.items() if value is None]
    if values:
        at = listed([host for host, value in known.items() if value == min(values)], "and")
        rest = f"; that of {listed(unknown, 'and')} is unknown" if unknown else ""
        yield f"The smallest {what} is {number(min(values))} tokens, at {at}{rest}."
    else:
        yield f"No host's {what} is known."


def _residency(model: ModelPlan) -> Iterator[str]:
    if model.residency is None:
        yield "No residency is asked for: a request may be processed wherever these hosts process it."
        return
    named = listed(model.residency, "and")
    against = [target.host for target in model.live if not stays_within(target, model.allowed_regions)]
    if against:
        elsewhere = f"{listed(against, 'and')} may process a request elsewhere"
        yield f"The residency asked for, {named}, does not hold: {elsewhere}."
    else:
        reached = sorted({region for target in model.live for region in target.reaches or ()})
        yield (
            f"The residency asked for, {named}, holds: all that any request can reach is {listed(reached, 'and')}, "
            "through sharing hosts, fallbacks and every region of a cross-region profile."
        )


def _money(model: ModelPlan) -> Iterator[str]:
    price = blended(model)
    if isinstance(price, Unpriced):
        if price.hosts:
            yield f"What it costs is unknown, because the price at {listed(price.hosts, 'and')} is."
        return
    yield (
        f"A million tokens cost {dollars(price.input)} as prompt and {dollars(price.output)} as answer: the sharing "
        "hosts' prices by weight."
    )
    if any(target.price and target.price.source == OWN_GPUS for target in model.sharing):
        yield "Those on GPUs of the stack cost nothing more than the nodes do, which are not in this."
    if model.fallbacks:
        yield "Fallbacks cost only when they are needed."
    month = monthly(model)
    if model.volume is not None and isinstance(month, Monthly):
        least, most = dollars_and_cents(month.least), dollars_and_cents(month.most)
        between = least if least == most else f"{least} to {most}, depending on how many of them are prompt"
        yield f"The {number(model.volume)} tokens a month that the stack expects cost {between}."


def _sentence(finding: Finding) -> str:
    level = f"{finding.level}, accepted" if finding.accepted else finding.level
    return f"{level} {finding.name}: {finding.message}. Way out: {finding.way_out}."


def _wrapped(sentences: Iterable[str]) -> str:
    return _fill(" ".join(sentences))


def _items(lines: Iterable[str]) -> str:
    return "\n".join(_fill(line, first="- ", then="  ") for line in lines)


def _fill(text: str, first: str = "", then: str = "") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )
