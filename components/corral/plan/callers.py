"""Who may call, as the plan has it: tenants with their limits, and the issuers that vouch for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rate:
    """How much in a minute; None: as much as one likes."""

    requests: int | None = None
    tokens: int | None = None
    """Of prompts and answers together."""


@dataclass(frozen=True)
class Budget:
    """What requests may cost, in micro-dollars; None: not limited.  Days and months are those of UTC."""

    day: int | None
    month: int | None
    at_limit: Literal["refuse", "allow"] = "refuse"

    @property
    def windows(self) -> tuple[tuple[Literal["day", "month"], int], ...]:
        """Those that are limited, each with its limit."""
        windows: tuple[tuple[Literal["day", "month"], int | None], ...] = (("day", self.day), ("month", self.month))
        return tuple((window, limit) for window, limit in windows if limit is not None)


@dataclass(frozen=True)
class TenantPlan:
    """One tenant: how it proves who it is, what it may ask for, and how much.  None: not limited."""

    name: str
    keys: tuple[str, ...]
    """SHA-256 of its API keys, in hexadecimal; the keys themselves are in no plan."""
    claims: tuple[str, ...]
    """The values of an issuer's claim that are this tenant; empty where the stack has no issuer."""
    models: tuple[str, ...]
    """Which of the plan's models it may ask for, in order of name."""
    residency: tuple[str, ...] | None
    """Where its requests may be processed, as places or regions, besides what the model says; None: anywhere."""
    allowed_regions: frozenset[str] | None
    """`residency` spelled out, as a model's."""
    priority: Literal["high", "normal"]
    rate: Rate
    """Over all models."""
    rates: tuple[tuple[str, Rate], ...]
    """Of single models, in order of name."""
    concurrent: int | None
    """Requests under way at a time."""
    body_limit: int | None
    """Bytes of a request; never above that of the engine."""
    budget: Budget | None = None

    @property
    def all_rates(self) -> tuple[tuple[str | None, Rate], ...]:
        """Each rate with its model; the first, over all models, with None."""
        return ((None, self.rate), *self.rates)


@dataclass(frozen=True)
class Issuer:
    """Who may vouch for tenants: an issuer of JSON Web Tokens."""

    issuer: str
    """To the letter what a token says in `iss`."""
    audiences: tuple[str, ...]
    """One of them a token must name, in order of name."""
    jwks: str | None
    """The URL of its public keys; None: they are in `jwks_file`."""
    jwks_file: str | None
    """Relative to the stack file's folder."""
    claim: str
    """The claim that names the tenant, with `.` between the names of nested ones."""
