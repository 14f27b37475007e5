"""What the protocols of hosts differ in, as the wire sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from components.simulated.asked import Asked, Whole
from components.simulated.hosts import SimulatedHost
from components.simulated.refusal import Refusal


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    """As a person reads it."""
    raw_path: str
    """As it came, percent signs and all, without the query."""
    query: str
    route: str | None
    """What stands after the path of the host's base URL; None: that is not how the path begins."""
    headers: tuple[tuple[str, str], ...]
    """Names in small letters."""
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header, or nothing."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True)
class Said:
    """An answer that is a refusal."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Dialect(Protocol):
    """One protocol."""

    id_header: str
    """The header in which a host says by which id it knows a request."""

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        """What a request asks for: an answer of a model, something else that is answered at once, or nothing."""
        ...

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        """The refusal of a missing or wrong credential."""
        ...

    def said(self, refusal: Refusal, host: str) -> Said:
        """A refusal in the protocol's own words."""
        ...


def no_path(request: Request, hint: str) -> Refusal:
    """404: nothing is at this path."""
    return Refusal(404, f"Unknown request URL: {request.method} {request.path}; {hint}.", code="unknown_url")


def wrong_method(request: Request) -> Refusal:
    """405: something is at this path, for another method."""
    return Refusal(405, f"Not allowed here: {request.method} {request.path}.", code="method_not_supported")
