"""The running engine that a command is about."""

from __future__ import annotations

from components.cli.project import root
from components.embedded import registry
from components.embedded.errors import EngineError


def running(stack: str) -> registry.Running:
    """Raises EngineError where the stack is not being served."""
    found = registry.find(root(), stack)
    if found is None:
        raise EngineError(f"Stack {stack} is not being served here. Start it with: corral up --stack {stack}")
    return found
