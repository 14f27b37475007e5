"""Corral: Llama on many hosts behind one load balancer, declared in one stack file per environment."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.2.0"

__all__ = ["__version__", "deploy"]


def deploy(file: Path | None = None) -> None:
    """The Pulumi program: provisions the stack that `file` declares, and nothing of one that is refused.

    `file` is the stack file that Pulumi has read; left out, `Pulumi.<stack>.yaml` in the program's folder.  Raises
    `pulumi.RunError` with every mistake in it.
    """
    from corral.gateway.program import deploy as program  # the command line needs no Pulumi

    program(file)
