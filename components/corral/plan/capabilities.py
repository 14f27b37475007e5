"""What hosts take of requests, and which hosts of a model are left for a request that needs something of them.

Policy.  A host takes what it is not known to refuse: the catalog says what that is, and the stack may say otherwise.
Paths of other APIs than OpenAI's (Anthropic's `/v1/messages`, Cohere's `/v1/rerank`) it takes where it is known to.
The local engine sends a request only to hosts that take all that it needs: by their shares among those, then to such
fallbacks in order.  What none takes is refused with 400.  An answer that may be longer than a host's limit goes to
hosts with room for it; where there are none, it is cut to the most that any has.

What the local engine's adapter does by itself, a host behind it need not do: it streams an answer that the host gives
whole.

On a cluster a route sees headers alone, not what is in a body, so that any live host may get any request.  One that is
called through the adapter sends on what it cannot take.  The paths of other APIs are not these there: Envoy AI Gateway
has its own (`checks.requests.translation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic.alias_generators import to_camel

from corral.catalog.catalog import OTHER_APIS, Takes
from corral.config.problems import number
from corral.plan.memory import memoized
from corral.plan.plan import ModelPlan, Target

Engine = Literal["local", "kubernetes"]

_TOOLS_WHILE_STREAMING = "tools_while_streaming"

CAPABILITIES = {
    "streaming": "streaming",
    "tools": "tools",
    _TOOLS_WHILE_STREAMING: "tools while streaming",
    "tool_choice": "forced tools",
    "vision": "vision",
    "image_urls": "images by URL",
    "json_mode": "JSON mode",
    "json_schema": "JSON schema",
    "choices": "several choices",
    "logprobs": "logprobs",
    "seed": "seed",
    "penalties": "penalties",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "rerank": "/v1/rerank",
}
"""What each fact of `Takes` is called."""

_OF_THE_ADAPTER = frozenset({"streaming", _TOOLS_WHILE_STREAMING})


def lacking(target: Target, engine: Engine) -> tuple[str, ...]:
    """The facts of `Takes` by which the target is known to refuse a request.  That it takes no tools while it streams
    is not among them where it takes no tools, or streams nothing at all."""
    return _lacking(target.takes, engine, adapted=engine == "local" and target.protocol != "openai")


@cache
def _lacking(takes: Takes, engine: Engine, *, adapted: bool) -> tuple[str, ...]:
    without = takes.refused
    if without & {"streaming", "tools"}:
        without -= {_TOOLS_WHILE_STREAMING}
    if adapted:
        without = (without - _OF_THE_ADAPTER) | OTHER_APIS
    if engine == "kubernetes":
        without -= OTHER_APIS
    return tuple(name for name in CAPABILITIES if name in without)


@dataclass(frozen=True)
class Need:
    """Something that a request may need, and that not every live host of a model takes; for answers of any length there
    may be none."""

    name: str
    """As in the stack: `jsonMode`; of the length of answers `output`."""
    what: str
    lacked_by: frozenset[str]
    limit: int | None = None
    """The tokens of an answer above which it is needed."""


def other_apis(model: ModelPlan) -> frozenset[str]:
    """The paths of other APIs than OpenAI's that some live host takes on the local engine, by their facts."""
    return frozenset(name for target in model.live for name in OTHER_APIS - {*lacking(target, "local")})


@memoized
def needs(model: ModelPlan) -> tuple[Need, ...]:
    """Those of the local engine, in the order of `CAPABILITIES`, then by length; none of an API that no host takes."""
    lacked_by: dict[str, set[str]] = {}
    for target in model.live:
        for name in lacking(target, "local"):
            lacked_by.setdefault(name, set()).add(target.host)
    lacked = (
        (name, frozenset(lacked_by[name]))
        for name in CAPABILITIES
        if name in lacked_by and not (name in OTHER_APIS and len(lacked_by[name]) == len(model.live))
    )
    outputs = {target.host: target.output for target in model.live if target.output is not None}
    limits = (
        (limit, frozenset(host for host, its in outputs.items() if its <= limit)) for limit in {*outputs.values()}
    )
    return (
        *(Need(to_camel(name), CAPABILITIES[name], hosts) for name, hosts in lacked),
        *(Need("output", f"more than {number(limit)} tokens", hosts, limit) for limit, hosts in sorted(limits)),
    )


@dataclass(frozen=True)
class Answering:
    """The hosts that answer requests with any of these needs, on the local engine."""

    needs: tuple[str, ...]
    what: tuple[str, ...]
    shares: dict[str, int]
    """Of 100 such requests how many each sharing host gets, as whole numbers that sum to 100; in order of name."""
    fallbacks: tuple[str, ...]
    of_shares: int
    """The part of all shares that these hosts have, in percent."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """All of them; empty: such requests are refused."""
        return (*self.shares, *self.fallbacks)


def answering(model: ModelPlan) -> tuple[Answering, ...]:
    """Which hosts answer what not all of them take: needs with the same hosts together."""
    by_hosts: dict[frozenset[str], list[Need]] = {}
    for need in needs(model):
        if need.limit is not None and len(need.lacked_by) == len(model.live):
            continue
        by_hosts.setdefault(need.lacked_by, []).append(need)
    return tuple(_answering(model, lacked_by, alike) for lacked_by, alike in by_hosts.items())


def _answering(model: ModelPlan, lacked_by: frozenset[str], alike: list[Need]) -> Answering:
    left = [target for target in model.live if target.host not in lacked_by]
    sharing = {target.host: target.share for target in left if target.priority == 0}
    return Answering(
        needs=tuple(need.name if need.limit is None else f"{need.name}>{need.limit}" for need in alike),
        what=tuple(need.what for need in alike),
        shares=_of_hundred(sharing),
        fallbacks=tuple(target.host for target in left if target.priority > 0),
        of_shares=sum(sharing.values()),
    )


def _of_hundred(weights: dict[str, int]) -> dict[str, int]:
    """Percents by weight; what rounding down leaves goes to the greatest remainders."""
    whole = sum(weights.values())
    percents = {host: weight * 100 // whole for host, weight in weights.items()}
    remainders = sorted(weights, key=lambda host: (-(weights[host] * 100 % whole), host))
    for host in remainders[: 100 - sum(percents.values()) if weights else 0]:
        percents[host] += 1
    return percents


def in_words(answers: Answering) -> str:
    """`tools, seed: bedrock 75 %, vllm 25 %, then deepinfra (80 % of shares)`."""
    sharing = ", ".join(f"{host} {percent} %" for host, percent in answers.shares.items())
    hosts = ", then ".join(filter(None, (sharing, ", ".join(answers.fallbacks))))
    return f"{', '.join(answers.what)}: {hosts} ({answers.of_shares} % of shares)"
