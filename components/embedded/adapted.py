"""Which of a plan's hosts the adapter has to translate for, and how it reaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.adapter.hosts import AdaptedHost, AdaptedModel, AwsKey, BedrockHost, ReplicateHost
from components.plan.plan import Plan, Target
from components.simulated.hosts import SimulatedHost

_SIMULATED = "simulated"
"""The id of the key that requests to a simulated Bedrock are signed with; what counts is its secret."""


def needs_adapter(target: Target) -> bool:
    """Whether Envoy alone does not speak with the host."""
    return target.protocol != "openai"


def adapted_host(
    plan: Plan, name: str, simulated: SimulatedHost | None, port: int, key: str | None, ca: str | None
) -> AdaptedHost:
    """The host `name` of a plan: the simulated one at this loopback port, or the real one with its key."""
    targets = [target for model in plan.models for target in model.targets if target.host == name]
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


def with_former(former: Mapping[str, AdaptedHost], new: Sequence[AdaptedHost]) -> dict[str, AdaptedHost]:
    """The new hosts by name, and what only the former ones have, for requests that are on their way."""
    merged = {host.name: host for host in new}
    for name, host in former.items():
        now = merged.get(name)
        merged[name] = now.model_copy(update={"models": {**host.models, **now.models}}) if now else host
    return merged


def _model(target: Target) -> AdaptedModel:
    return AdaptedModel(
        output=target.output,
        streaming=target.streaming,
        tools_while_streaming=target.tools_while_streaming,
    )
