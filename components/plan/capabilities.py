"""What one target may be able to do and another not, by the words in which it is said; None: unknown."""

from __future__ import annotations

from collections.abc import Callable

from components.plan.plan import Target

TOOLS_WHILE_STREAMING = "tools while streaming"
"""Not said of a host that refuses tools or streaming altogether."""

CAPABILITIES: tuple[tuple[str, Callable[[Target], bool | None]], ...] = (
    ("streaming", lambda target: target.streaming),
    ("tools", lambda target: target.tools),
    (TOOLS_WHILE_STREAMING, lambda target: target.tools_while_streaming),
    ("vision", lambda target: target.vision),
)


def lacking(target: Target) -> tuple[str, ...]:
    """The capabilities that the target is known not to have."""
    without = [what for what, has in CAPABILITIES if has(target) is False]
    if "streaming" in without or "tools" in without:
        return tuple(what for what in without if what != TOOLS_WHILE_STREAMING)
    return tuple(without)
