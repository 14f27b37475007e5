"""One run of a stack at a time: it holds a lock on `.corral/<stack>/lock`, which the kernel releases when it ends.

The file stays when the lock is gone: were it removed, one run could lock it and another one its successor.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from components.embedded import registry
from components.embedded.errors import EngineError
from components.usage.folder import Folder


@contextmanager
def claimed(project: Path, stack: str) -> Generator[None]:
    """The stack is this process's until the end of the block.  Raises EngineError: it is another's."""
    with _opened(Folder.of(project, stack).root / "lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(_taken(project, stack, file.read())) from None
        except OSError as reason:
            raise EngineError(f"{file.name} cannot be locked: {reason.strerror}.") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _opened(path: Path) -> TextIO:
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        return path.open("r+")
    except OSError as reason:
        raise EngineError(f"{path} cannot be made: {reason.strerror}.") from None


def _taken(project: Path, stack: str, holder: str) -> str:
    """`holder` is what the one who holds the lock has written of itself, which comes a moment later."""
    running = registry.find(project, stack)
    state = f"served already, by process {running.pid} at {running.url}" if running else f"started by process {holder}"
    return f"Stack {stack} is being {state}. End that one first (Ctrl-C), or look at it with: corral status"
