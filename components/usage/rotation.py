"""Ends the file of the log that is being written, and deletes those that are old.

Policy.  A file ends when it is larger than a bound, or when a day (of UTC) has passed.  It is renamed, Envoy writes on
in it until it has opened the new one, and so no line is lost.  While Envoy cannot be asked it goes on with the renamed
file, and is asked again.  Nothing is deleted but whole files, whose last line is older than what is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from components.usage.folder import SUFFIX, Folder

LARGEST = 64 * 2**20
"""Bytes: some 150,000 requests."""

_NAME = "%Y-%m-%dT%H-%M-%S.%f"


class Rotation:
    """The files of one log while its engine runs.

    `reopen` asks Envoy to open `current` anew, and raises where it cannot be asked.
    """

    def __init__(
        self,
        folder: Folder,
        reopen: Callable[[], Awaitable[None]],
        *,
        keep: timedelta | None = None,
        largest: int = LARGEST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._reopen = reopen
        self.keep = keep
        """How long requests are kept; None: for ever."""
        self._largest = largest
        self._now = now
        self._begun = self._last_written() or now().date()
        self._asked = True

    async def look(self) -> None:
        """Does what is due now.  Raises what `reopen` raises, and OSError; what was not done is done the next time."""
        if self._due():
            self._end()
        if not self._asked:
            await self._reopen()
            self._asked = True
        self._forget()

    def _due(self) -> bool:
        size = _size(self._folder.current)
        if not size:
            self._begun = self._now().date()
            return False
        return size > self._largest or self._begun < self._now().date()

    def _end(self) -> None:
        now = self._now()
        name = f"{now.strftime(_NAME)[:-3]}Z"
        ended = self._folder.requests / f"{name}{SUFFIX}"
        again = 1
        while ended.exists():
            again += 1
            ended = self._folder.requests / f"{name}-{again}{SUFFIX}"
        self._folder.current.rename(ended)
        self._begun = now.date()
        self._asked = False

    def _forget(self) -> None:
        if self.keep is None:
            return
        oldest = (self._now() - self.keep).timestamp()
        for path in self._folder.ended():
            if path.stat().st_mtime < oldest:
                path.unlink()

    def _last_written(self) -> date | None:
        """The day of the last line that an engine before this one has written."""
        try:
            return datetime.fromtimestamp(self._folder.current.stat().st_mtime, UTC).date()
        except FileNotFoundError:
            return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
