"""Whether the hosts carry the peak of each model, with all of them up and without any one host or region.

Policy.  A peak that is not carried is an error, which a stack may accept by name: what it would take is in the way out,
per host that has no room left.  What is unknown is a warning that names the number and where to read it.  A sharing
host that gets more than it takes while all are up is a warning, as its share is not what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from corral.config.problems import listed, number
from corral.plan.capacity import DIMENSIONS, Case, Dimension, Headroom, headroom, needed
from corral.plan.checks.findings import Finding
from corral.plan.gpus import Fit
from corral.plan.plan import Load, ModelPlan, Plan, Target

UNITS: dict[Dimension, str] = {
    "tokens": "tokens a minute",
    "requests": "requests a minute",
    "concurrent": "requests at a time",
}

_KEYS: dict[Dimension, str] = {
    "tokens": "tokensPerMinute",
    "requests": "requestsPerMinute",
    "concurrent": "concurrent",
}

_WHERE = {
    "azure": "it is the capacity of the deployment",
    "bedrock": "`corral preflight` reads the quota that applies to the account",
    "deepinfra": "`GET https://api.deepinfra.com/v1/me/rate_limit` tells",
    "vllm": "measure it under load, or give peak.concurrent, which its cache is counted for",
}
"""Where the limit of a host is to be read."""


def peaks(plan: Plan) -> Iterator[Finding]:
    """Errors: a peak that is not carried.  Warnings: what is unknown, and a share that its host does not take."""
    models = {model.name: model for model in plan.models}
    for each in headroom(plan):
        model = models[each.model]
        targets = {target.host: target for target in model.live}
        yield from _shares(each)
        for case in each.cases:
            if case.verdict == "does not":
                yield _fails(each, case, targets)
        for host in dict.fromkeys(host for case in each.cases if case.verdict == "unknown" for host in case.unknown):
            yield _unknown(each, model, targets[host])


SHORT: dict[Dimension, str] = {"tokens": "tokens/min", "requests": "requests/min", "concurrent": "at a time"}


def amount(load: Load, units: Mapping[Dimension, str] = UNITS) -> str:
    """In the first of its numbers: `800,000 tokens a minute`."""
    return _written(load, units)[0]


def amounts(load: Load) -> str:
    """In all of its numbers."""
    return " and ".join(_written(load))


def _written(load: Load, units: Mapping[Dimension, str] = UNITS) -> list[str]:
    return [f"{number(count)} {units[each]}" for each in DIMENSIONS if (count := getattr(load, each)) is not None]


def _shares(headroom: Headroom) -> Iterator[Finding]:
    for offered in headroom.offered:
        if offered.percent is not None and offered.percent > 100:
            yield Finding(
                "warning",
                f"peak/{headroom.model}/{offered.host}",
                f"the share of {offered.host} in the peak of {headroom.model} is {amounts(offered.load)}, and it takes "
                f"{amounts(offered.limit)}: what is more goes to the next host, or waits",
                f"lower its share, have {offered.host} take more, or accept it",
            )


def _fails(headroom: Headroom, case: Case, targets: dict[str, Target]) -> Finding:
    without = f" without {case.lost}" if case.lost else ""
    if case.without not in ((), (case.lost,)):
        without += f" ({listed(case.without, 'and')})"
    carriers = ", ".join(f"{each.host} {amount(each.load)}" for each in case.hosts)
    name = f"lost/{headroom.model}/{case.lost}" if case.lost else f"peak/{headroom.model}"
    ways = [_more(headroom.model, case, targets[each.host]) for each in case.hosts if (each.percent or 0) >= 100]
    ways.append(f"add a host to corral:models.{headroom.model}.fallback")
    return Finding(
        "error",
        name,
        f"the hosts of {headroom.model} do not carry its peak{without}: of {amount(headroom.peak)} "
        f"{amount(case.unserved)} {'are' if carriers else 'is all that'} refused or waiting"
        + (f", after {carriers}" if carriers else ""),
        f"{', or '.join(ways)}, or accept it",
        a_decision=True,
    )


def _more(model: str, case: Case, target: Target) -> str:
    """What would have one host take all that is unserved."""
    wanted, host = needed(case, target.host), target.host
    stated = f"corral:hosts.{host}.limits.perModel.{model}"
    match target.kind:
        case "azure" if wanted.tokens and target.limit.tokens:
            return f"raise corral:hosts.{host}.capacity.{model} to {-(-wanted.tokens // 1_000)}"
        case "bedrock":
            quota = f"ask AWS for a quota of {amount(wanted)} at {host} (`corral preflight` names it)"
            return f"{quota}, and state it, {stated}"
        case "vllm" if isinstance(target.fit, Fit) and wanted.concurrent and target.limit.concurrent:
            per_server = max(1, target.limit.concurrent // target.fit.servers)
            servers = -(-wanted.concurrent // per_server)
            nodes = -(-servers // max(1, target.fit.node // target.fit.gpus))
            instead = f"give {host} {servers} servers instead of {target.fit.servers}"
            return f"{instead}: {nodes} nodes of {target.fit.instance}, corral:hosts.{host}.gpus"
        case _:
            return f"have {host} take {amount(wanted)}, and state it, {stated}"


def _unknown(headroom: Headroom, model: ModelPlan, target: Target) -> Finding:
    host = target.host
    stated = (target.limit, target.host_limit)
    limits: list[Dimension] = [each for each in DIMENSIONS if any(getattr(limit, each) for limit in stated)]
    if limits:
        keys = listed([f"corral:models.{model.name}.peak.{_KEYS[each]}" for each in limits])
        unknown = f"the peak of {model.name} in {' or '.join(UNITS[each] for each in limits)}, which {host} limits,"
        where = f"give {keys}"
    else:
        keys = listed([_KEYS[each] for each in DIMENSIONS if getattr(model.peak, each)])
        unknown = f"how much of {model.name} {host} takes"
        where = f"give it, corral:hosts.{host}.limits.perModel.{model.name} ({keys}): " + _WHERE.get(
            target.kind, "the host's page of limits, or its support, tells"
        )
    cases = [case.lost for case in headroom.cases if host in case.unknown and case.verdict == "unknown"]
    whole = ["with all hosts up"] if "" in cases else []
    lost = [f"without {listed([case for case in cases if case], 'or')}"] if any(cases) else []
    return Finding(
        "warning",
        f"limits/{model.name}/{host}",
        f"{unknown} is unknown, and with it whether the peak is carried {' or '.join(whole + lost)}",
        where,
    )
