"""What one model's servers are: everything of a vLLM Deployment that the plan and the stack decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.config.hosts import VllmHost
from components.config.stack import Stack
from components.plan.plan import Fit, Plan
from components.render.naming import physical


@dataclass(frozen=True)
class Server:
    """One model at one vLLM host."""

    host: str
    """The host's name in the stack."""
    model: str
    """The name clients ask for."""
    served_as: str
    """The name vLLM knows it by (`--served-model-name`)."""
    weights: str
    """A Hugging Face repository or an `s3://` path."""
    image: str
    fit: Fit | None
    """None: without GPUs, for a simulator's image."""
    drain: int
    """Seconds that a server which is to go has for what it has begun."""

    @property
    def name(self) -> str:
        """Of its Deployment, Service and the rest."""
        return physical(self.model)

    @property
    def namespace(self) -> str:
        """One per host."""
        return physical("corral", self.host)

    @property
    def hostname(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def from_s3(self) -> bool:
        return self.weights.startswith("s3://")

    @property
    def scales(self) -> bool:
        """Whether there is anything to scale between."""
        return self.fit is not None and self.fit.least < self.fit.most


def servers(plan: Plan, stack: Stack, host: str) -> tuple[Server, ...]:
    """The servers that the stack is to run for the host, in order of model; none where it has a URL.

    The plan is one that the checks let pass: every model fits.
    """
    said = stack.hosts[host]
    if not isinstance(said, VllmHost) or said.url:
        return ()
    return tuple(_servers(plan, stack, host, said))


def _servers(plan: Plan, stack: Stack, host: str, said: VllmHost) -> Iterator[Server]:
    for model in plan.models:
        for target in model.targets:
            if target.host == host and model.name in said.weights:
                yield Server(
                    host=host,
                    model=model.name,
                    served_as=target.model_id,
                    weights=said.weights[model.name],
                    image=said.image,
                    fit=target.fit if isinstance(target.fit, Fit) else None,
                    drain=stack.engine.drain_timeout // 1_000,
                )
