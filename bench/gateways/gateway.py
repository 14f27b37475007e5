"""A gateway that is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.hosts import Hosts

MODEL = "llama-3.3-70b"


@dataclass(frozen=True)
class Gateway:
    """A gateway that is running."""

    port: int
    version: str
    process: psutil.Process | None
    """Its memory is measured, with that of its children; None: there is none."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers that a caller sends besides."""


Serving = Callable[[Hosts, Mapping[str, int], Path], AbstractAsyncContextManager[Gateway]]
"""Runs a gateway in front of the hosts, with these shares, and its files in the folder.  Raises UnavailableError."""
