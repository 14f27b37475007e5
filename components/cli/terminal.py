"""Writing to the terminal: colours only where there is one, whole lines where there is none."""

from __future__ import annotations

import sys

from rich.console import Console

_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error; into a pipe or a file it writes wide lines without colours."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


def complain(message: str) -> None:
    """Says on standard error what is wrong."""
    console(stderr=True).print(message, style="red", markup=False, soft_wrap=True)
