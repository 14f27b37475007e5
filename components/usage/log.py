"""Reads the log of requests, line by line: however long it is, one line of it is in memory at a time.

What is not a request (a line that was cut off when the machine went down, bytes of a broken disk) is left out and
counted.  The last line of the file that is being written may be half there: it is left for the next reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from components.usage.folder import Folder
from components.usage.request import Request, parse
from components.usage.window import Window

_LONGEST = 2**20
"""Bytes.  The path is the only part of a line that a client chooses, and Envoy takes headers of 60 KiB at most."""

_MARGIN = 60.0
"""Seconds by which the time of a file's last change may be wrong."""

_NAMED = 3


@dataclass
class Reading:
    """One pass over the log of a stack.  The counts are complete once all requests are read."""

    folder: Folder
    window: Window
    unreadable: int = 0
    """Lines that are no request."""
    places: list[tuple[Path, int]] = field(default_factory=list[tuple[Path, int]])
    """Where the first few of them are: file and line."""

    def __iter__(self) -> Iterator[Request]:
        """The requests of the window.  Raises FileNotFoundError where there is no log, OSError."""
        with ExitStack() as open_files:
            # The current file is opened before the others are listed: renamed in between, it is read once all the same.
            current = _opened(self.folder.current, open_files)
            listed = self.folder.ended()
            writing = os.fstat(current.fileno()).st_ino if current else None
            for path in listed:
                with ExitStack() as this:
                    file = _opened(path, this)
                    if file and os.fstat(file.fileno()).st_ino != writing and not self._too_old(file):
                        yield from self._requests(file, path, being_written=False)
            if current:
                yield from self._requests(current, self.folder.current, being_written=True)

    def _too_old(self, file: BinaryIO) -> bool:
        """Whether all of its requests ended, and so began, before the window."""
        since = self.window.since
        return since is not None and os.fstat(file.fileno()).st_mtime + _MARGIN < since.timestamp()

    def _requests(self, file: BinaryIO, path: Path, *, being_written: bool) -> Iterator[Request]:
        for number, line in _lines(file):
            request = parse(line)
            if request is not None:
                if self.window.holds(request.time):
                    yield request
            elif line.strip() and not (being_written and not line.endswith(b"\n")):
                self.unreadable += 1
                if len(self.places) < _NAMED:
                    self.places.append((path, number))


def _opened(path: Path, open_files: ExitStack) -> BinaryIO | None:
    """None: it is not there any more."""
    try:
        return open_files.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers; of one that is too long to be a request only its beginning."""
    number = 0
    while line := file.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            while (rest := file.readline(_LONGEST)) and not rest.endswith(b"\n"):
                pass
            line = line[:80] + b"\n"
        yield number, line
