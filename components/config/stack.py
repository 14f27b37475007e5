"""The stack: one environment, as an operator declares it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.config.hosts import Host
from components.config.types import Bytes, HostName, Milliseconds, ModelName, Strict, Tokens

Residency = Annotated[list[str], Field(min_length=1)]
"""Places (`us`, `eu`) or single regions (`us-east-1`) in which a request may be processed; nowhere else."""


class Model(Strict):
    """A model clients ask for, and who serves it."""

    shares: Annotated[dict[HostName, Annotated[int, Field(ge=0, le=100)]], Field(min_length=1)]
    """Per host its percentage of the traffic; the shares sum to 100.  A host at 0 is drained: it keeps its place only."""
    fallback: list[HostName] = []
    """Hosts tried, in this order, when the sharing hosts cannot answer."""
    residency: Residency | None = None
    """For this model, instead of the stack's."""
    volume: Tokens | None = None
    """Expected tokens a month; gives plans a sum of money."""


class Engine(Strict):
    """What carries the plan out, and its settings.  The one place of their defaults."""

    kind: Literal["embedded", "kubernetes"] = "embedded"
    address: str = "127.0.0.1"
    """The address the embedded engine listens on.  Loopback unless told otherwise."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes a free one."""
    simulate: Literal["never", "withoutKey", "always"] = "never"
    """Which hosts the embedded engine replaces by simulated ones: none, those it has no key for, or all."""
    connect_timeout: Milliseconds = 5_000
    """How long connecting to a host may take."""
    idle_timeout: Milliseconds = 120_000
    """How long a host may be silent, before its first byte or within a stream, until it is given up."""
    drain_timeout: Milliseconds = 600_000
    """How long a removed host may finish what it has begun."""
    ejection: Milliseconds = 10_000
    """How long a failing host is left out the first time; longer each time after that."""
    body_limit: Bytes = 50 * 2**20
    """The largest request body."""


class Secret(Strict):
    """A value that Pulumi encrypted.  Never printed, and never decrypted outside of Pulumi."""

    secure: Annotated[str, Field(min_length=1, repr=False)]


class Stack(Strict):
    """`stacks/Pulumi.<name>.yaml`: the `corral:` keys of its `config`."""

    name: Annotated[str, Field(exclude=True)]
    region: Annotated[str | None, Field(exclude=True)] = None
    """`aws:region` of the file."""
    hosts: Annotated[dict[HostName, Host], Field(min_length=1)]
    models: Annotated[dict[ModelName, Model], Field(min_length=1)]
    residency: Residency | None = None
    engine: Engine = Engine()
    accept: list[str] = []
    """Names of warnings that were read and accepted."""
    keys: dict[HostName, Secret] = {}
    """Per host its key, encrypted (`pulumi config set --secret`)."""
