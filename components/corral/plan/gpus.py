"""GPUs that the stack provisions: how models lie on them, and the nodes that have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal


@dataclass(frozen=True)
class Fit:
    """How a model lies on the GPUs of a node, and how many servers of it there are."""

    instance: str
    """The instance type of the nodes."""
    node: int
    """GPUs of a node."""
    gpus: int
    """GPUs of one server, all on one node."""
    context: int | None
    """Tokens of prompt and answer together that its cache holds; None: the model's own limit, unchecked."""
    least: int
    """Servers at least; 0 where they may all go when nobody asks."""
    most: int
    scaled: bool = False
    """Whether their number follows what is asked of them."""
    cache: int | None = None
    """Tokens that the cache of one server holds, of all its requests together; None: unknown."""

    @property
    def servers(self) -> int:
        """Those that there are when as much as can be is asked of them."""
        return self.most if self.scaled else max(1, self.least)


@dataclass(frozen=True)
class Nodes:
    """The GPU nodes of a host that the stack provisions."""

    host: str
    instance: str
    region: str
    purchase: Literal["onDemand", "spot", "reserved"]
    least: int
    """Those that are always there."""
    most: int
    hourly: int | None
    """Micro-dollars for one of them; None: unknown."""
    source: str | None = None
    review_by: date | None = field(default=None, compare=False, metadata={"public": False})


@dataclass(frozen=True)
class Misfit:
    """Why a model does not run on the GPUs that the stack gives it."""

    why: str
    """A sentence with the arithmetic in it."""
    way_out: str
