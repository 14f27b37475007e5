"""The `corral` command, as a script and as `python -m corral.cli`: a first Ctrl-C is quiet, also while it loads."""

from __future__ import annotations

import signal
import sys
from types import FrameType

INTERRUPTED = 130


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(INTERRUPTED)


def main() -> None:
    """Loads the command and runs it."""
    signal.signal(signal.SIGINT, _end)
    from corral.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
