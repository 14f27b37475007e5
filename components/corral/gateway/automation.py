"""`pulumi up` by Pulumi's Automation API, and what is said where it does not end well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pulumi import automation


class UpError(Exception):
    """It did not end well; the message says why, and holds no secret."""


def up(open_stack: Callable[[], automation.Stack]) -> automation.Stack:
    """Brings the stack's program into force, and gives the stack back.  Raises UpError."""
    try:
        stack = open_stack()
        stack.up(color="never")
    except automation.CommandError as error:
        raise UpError(f"pulumi up did not end well:\n{_problems(str(error))}") from None
    except FileNotFoundError:
        raise UpError("there is no pulumi on PATH: pulumi.com/docs/install has it") from None
    return stack


def up_in(project: Path, stack: str) -> None:
    """The same of a project's stack that is there, with the login and the credentials of whoever calls."""
    up(lambda: automation.select_stack(stack, work_dir=str(project)))


def _problems(output: str) -> str:
    """The lines of the engine's output that say what is wrong; all of it where none does."""
    lines = [line.strip() for line in output.splitlines() if line.strip().startswith("error:")]
    return "\n".join(dict.fromkeys(lines)) or output
