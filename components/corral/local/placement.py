"""Which of a plan's hosts are real on this machine, and which are simulated.

Policy.  `never`: every host is real, and one that cannot be reached from here is an error with the way out.
`withoutKey`: a host is real if its key is in the environment (or it wants none) and its URL is known, else simulated.
`always`: every host is simulated, whatever keys there are.  Bedrock has no key: it is real where a region is named and
this machine has AWS credentials, from wherever boto3 takes them.

Which of a plan's hosts the adapter has to translate for, and how it reaches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from corral.local.adapter.hosts import AdaptedHost, AdaptedModel, AwsKey, BedrockHost, ReplicateHost
from corral.plan.plan import Plan, Target
from corral.simulated.hosts import SimulatedHost
from corral.simulated.loopback import LOOPBACK

Simulate = Literal["never", "withoutKey", "always"]


@dataclass(frozen=True)
class Placement:
    """One host on this machine."""

    host: str
    simulated: str | None
    """Why it is simulated; None: it is the real one."""
    key: str | None = field(repr=False, default=None)
    """The real host's key."""


@dataclass(frozen=True)
class Unreachable:
    """A host that has to be real and cannot be."""

    host: str
    message: str


def _obstacle(target: Target, environment: Mapping[str, str], signed_in: Callable[[], bool]) -> str | None:
    """What keeps a host from being real here."""
    if target.credential.ambient:
        if target.region is None:
            return "no AWS region is named"
        return None if signed_in() else "no AWS credentials"
    if target.url is None:
        return "no url before it is provisioned"
    variable = target.credential.variable
    if target.credential.header and not (variable and environment.get(variable)):
        return f"no key in {variable}" if variable else "no variable is named for its key"
    return None


def _way_out(target: Target, obstacle: str) -> str:
    variable = target.credential.variable
    if obstacle.startswith("no key") and variable:
        return f"set {variable}, or rehearse with --simulate"
    if obstacle == "no AWS region is named":
        return f"name it in corral:hosts.{target.host}.region or aws:region, or rehearse with --simulate"
    if obstacle == "no AWS credentials":
        return "sign in to AWS (environment, profile or single sign-on), or rehearse with --simulate"
    if target.url is None:
        return f"give its url under corral:hosts.{target.host}, or rehearse with --simulate"
    return "rehearse with --simulate"


def place(
    plan: Plan, mode: Simulate, environment: Mapping[str, str], signed_in: Callable[[], bool]
) -> tuple[dict[str, Placement], tuple[Unreachable, ...]]:
    """Places every live host of a plan; `environment` holds the keys, `signed_in` tells of AWS credentials."""
    placements: dict[str, Placement] = {}
    unreachable: list[Unreachable] = []
    for host, target in plan.live_hosts.items():
        if mode == "always":
            placements[host] = Placement(host, "asked for")
            continue
        obstacle = _obstacle(target, environment, signed_in)
        if obstacle is None:
            variable = target.credential.variable
            key = environment[variable] if target.credential.header and variable else None
            placements[host] = Placement(host, None, key)
        elif mode == "withoutKey":
            placements[host] = Placement(host, obstacle)
        else:
            unreachable.append(Unreachable(host, f"{host}: {obstacle}; {_way_out(target, obstacle)}"))
    return placements, tuple(unreachable)


def unguarded(plan: Plan, simulated: Mapping[str, str | None]) -> list[str]:
    """The real hosts that are asked without the guardrail which the stack gives them, in order of name.

    `simulated` says per live host why it is simulated.
    """
    guarded = {target.host for _, target in plan.targets if target.guarded}
    return sorted(host for host, why in simulated.items() if why is None and host in guarded)


_SIMULATED = "simulated"
"""The id of the key that requests to a simulated Bedrock are signed with; what counts is its secret."""


def needs_adapter(target: Target) -> bool:
    """Whether Envoy alone does not speak with the host."""
    return target.protocol != "openai"


def adapted_host(
    plan: Plan, name: str, simulated: SimulatedHost | None, port: int, key: str | None, ca: str | None
) -> AdaptedHost:
    """The host `name` of a plan: the simulated one at this loopback port, or the real one with its key."""
    targets = [*plan.at(name).values()]
    target = targets[0]
    url = simulated.base_url(port) if simulated else target.url or ""
    models = {one.model_id: _model(one) for one in targets}
    times: dict[str, Any] = {"connect_timeout": plan.limits.connect_timeout, "idle_timeout": plan.limits.idle_timeout}
    if target.protocol == "bedrock-converse":
        secret = simulated.key if simulated else None
        signing = AwsKey(id=_SIMULATED, secret=secret) if secret else None
        region = target.region or ""
        return BedrockHost(name=name, url=url, ca=ca, models=models, region=region, key=signing, **times)
    shown = (simulated.key if simulated else key) or ""
    return ReplicateHost(name=name, url=url, ca=ca, models=models, key=shown, **times)


def _model(target: Target) -> AdaptedModel:
    return AdaptedModel(
        output=target.output,
        streaming=target.streaming,
        tools_while_streaming=target.tools_while_streaming,
    )


@dataclass(frozen=True)
class Address:
    """Where a program of ours serves on loopback, and the token it wants to be shown."""

    port: int
    token: str = field(repr=False)

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def url(self, host: str) -> str:
        """The base URL of a host behind the adapter."""
        return f"{self.origin}/{host}/v1"
