"""How one model at one host is reached from the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.catalog.catalog import Protocol


@dataclass(frozen=True)
class Link:
    """What the resources of one model at one host are made of.  The key itself is in a secret."""

    hostname: Any
    """A DNS name.  May be known only once the host is there: it is passed on, never looked at; likewise `model_id`."""
    port: int
    tls: bool
    protocol: Protocol
    path: str
    """The path prefix in front of `/chat/completions`."""
    model_id: Any
    header: Literal["authorization", "api-key"] | None
    """The header that takes the host's key; None: there is none."""
    signing_region: str | None
    """The AWS region for which the gateway's own identity signs; None: it does not."""
    own_authority: bool
    """Whether the host's certificate is by an authority of its own, instead of one that every system trusts."""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Top-level fields that are set in every request's body, each value as JSON text; passed on like `hostname`."""

    @property
    def has_credential(self) -> bool:
        return self.header is not None or self.signing_region is not None
