"""The types of the catalog and its loader.

The data is in the YAML files beside this one.  Each entry carries the day and the source it was seen at; the catalog is
checked against the hosts (`corral verify`), never trusted for ever.
"""

from __future__ import annotations

from typing import Literal

from components.config.hosts import Auth, Lifecycle
from components.config.types import Day, Price, Strict

Protocol = Literal["openai", "bedrock-converse", "replicate"]
"""The wire protocol a host speaks."""


class ModelEntry(Strict):
    """One model at one host."""

    id: str
    """The host's own id."""
    context: int | None = None
    """Tokens of prompt and answer together; None: unknown.  Likewise for what follows."""
    output: int | None = None
    streaming: bool | None = None
    tools: bool | None = None
    tools_while_streaming: bool | None = None
    vision: bool | None = None
    lifecycle: Lifecycle = "available"
    callable_from: list[str] | None = None
    """The regions from which it can be called; None: from anywhere."""
    reaches: list[str] | None = None
    """Every region in which a request may be processed; None: unknown, or the host's own regions."""
    price: Price | None = None
    """Only where genai-prices does not know it."""
    verified: bool = True
    """False where the entry rests on a third party or on inference, not on the host's own word."""
    as_of: Day
    source: str


class HostEntry(Strict):
    """One host."""

    title: str
    protocol: Protocol = "openai"
    url: str | None = None
    """May hold `{region}` or `{resource}`; None: known only once provisioned, or to be filled in by the stack."""
    auth: Auth
    key_variable: str | None = None
    regions: list[str] | None = None
    """Where the host processes requests; None: unknown."""
    prices: str | None = None
    """The provider's id in genai-prices."""
    placeholder: str | None = None
    """Why nothing can be called here unless the stack fills it in."""
    note: str | None = None
    models: dict[str, ModelEntry] = {}
    as_of: Day
    source: str


class ModelFamily(Strict):
    """One model, wherever it runs."""

    title: str
    placeholder: str | None = None
    """Why no host can serve it yet."""
    context: int | None = None
    vision: bool | None = None
    as_of: Day | None = None
    source: str | None = None


class Catalog(Strict):
    """All that is known of hosts, models and regions."""

    hosts: dict[str, HostEntry]
    models: dict[str, ModelFamily]
    places: dict[str, str]
    """Per region the place it lies in: `us-east-1` → `us`.  A region that is not here is unknown."""
