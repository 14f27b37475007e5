"""The log of requests: read line by line, its files ended and deleted in time, and the prices kept beside it.

Policy.  However long the log is, one line of it is in memory at a time.  What is not a request (a line that was cut off
when the machine went down, bytes of a broken disk) is left out and counted.  The last line of the file that is being
written may be half there: it is left for the next reading.

A file ends when it is larger than a bound, or when a day (of UTC) has passed.  It is renamed; who writes the log opens
it anew each time, and so no line is lost.  Nothing is deleted but whole files, whose last line is older than what is
kept.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import pydantic.dataclasses
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from corral.local.errors import EngineError
from corral.local.state_folder import SUFFIX, StateFolder, replace_file
from corral.local.statistics.cost import UsageError, read_tariffs, tariff, with_tariff
from corral.local.statistics.readings import result
from corral.plan.plan import Plan

EXAMPLES = "1h, 7d, 2026-11-01 or 2026-11-01T12:30"

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Window:
    """The requests that began at `since` or later and before `until`; None: no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


def moment(text: str, now: datetime) -> datetime:
    """`7d` is that long before `now`; a day is its beginning; what names no time zone is UTC.  Raises ValueError."""
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time: write it like {EXAMPLES}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


Number = Annotated[int, Field(ge=0)]
"""A JSON number, or a string of digits."""


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is read of a line; it holds more."""

    time: AwareDatetime
    """When it began."""
    status: Number
    """0: the client left before the answer began."""
    tenant: str | None = None
    """None: nobody was asked, or the caller is unknown."""
    model: str | None = None
    """None: it asked for none that there is."""
    host: str | None = None
    """The one that answered; None: none did."""
    input_tokens: Number | None = None
    """Of the prompt; None: the host has not said."""
    output_tokens: Number | None = None
    """Of the answer; None: the host has not said, or there is no such thing (embeddings)."""
    estimated: bool | None = None
    """Whether the answer was cut off, so that its tokens are the pieces that came."""
    flags: str | None = None
    """Envoy's, of how it ended."""
    failure: str | None = None
    """Why an answer that began is none; None: it is one."""
    cached_tokens: Number | None = None
    """Those of the prompt that the host had kept from one before; None: it has not said."""
    reasoning_tokens: Number | None = None
    """Those of the answer that were thoughts; None: the host has not said."""
    attempts: Number | None = None
    """How many times a host was tried."""

    @property
    def code(self) -> int:
        """The status, or 0 if the answer was none."""
        return result(self.status, self.flags, self.failure)

    @property
    def uncounted(self) -> bool:
        """Whether a host did something for it, and has not said how many tokens the prompt had."""
        return self.host is not None and self.input_tokens is None and (self.status == 0 or self.status < 300)


_REQUEST = TypeAdapter(Request)


def parse(line: bytes) -> Request | None:
    """A line of the log; None: it is none."""
    try:
        return _REQUEST.validate_json(line)
    except ValidationError:
        return None


_LONGEST_BYTES = 2**20
"""Of a line.  The path is the only part of a line that a client chooses, and Envoy takes headers of 60 KiB at most."""

_MARGIN_SECONDS = 60.0
"""By which the time of a file's last change may be wrong."""

_PLACES = 3


@dataclass
class Reading:
    """One pass over the log of a stack.  The counts are complete once all requests are read."""

    folder: StateFolder
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
        return since is not None and os.fstat(file.fileno()).st_mtime + _MARGIN_SECONDS < since.timestamp()

    def _requests(self, file: BinaryIO, path: Path, *, being_written: bool) -> Iterator[Request]:
        for number, line in _lines(file):
            request = parse(line)
            if request is not None:
                if self.window.holds(request.time):
                    yield request
            elif line.strip() and not (being_written and not line.endswith(b"\n")):
                self.unreadable += 1
                if len(self.places) < _PLACES:
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
    while line := file.readline(_LONGEST_BYTES):
        number += 1
        if len(line) == _LONGEST_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(_LONGEST_BYTES)) and not rest.endswith(b"\n"):
                pass
            line = line[:80] + b"\n"
        yield number, line


LARGEST_BYTES = 64 * 2**20
"""Some 150,000 requests."""

_ROTATION_SECONDS = 5.0
"""Between two rotations."""


class Records:
    """The log and the prices of one stack, while its engine runs.

    The log is kept for `keep`; None: for ever.
    """

    def __init__(
        self,
        folder: StateFolder,
        say: Callable[[str], None],
        *,
        largest: int = LARGEST_BYTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._say = say
        self._largest = largest
        self._now = now
        self.keep: timedelta | None = None
        self._complaint = ""
        try:
            folder.make()
            last = _stat(folder.current)
        except OSError as reason:
            raise EngineError(f"The log of requests cannot be kept in {folder.requests}: {reason.strerror}.") from None
        self._begun = datetime.fromtimestamp(last.st_mtime, UTC).date() if last else now().date()
        """The day of the last line that an engine before this one has written."""

    @property
    def log(self) -> Path:
        """The file that Envoy writes."""
        return self._folder.current

    def in_force(self, plan: Plan, simulated: Mapping[str, str | None], keep: timedelta) -> None:
        """A plan is in force from now on: its prices are.  `simulated` says per host why it is not the real one.

        Raises EngineError.
        """
        self.keep = keep
        unreal = frozenset(host for host, why in simulated.items() if why)
        try:
            text = with_tariff(read_tariffs(self._folder), tariff(plan, unreal, datetime.now(UTC)))
        except UsageError as reason:
            self._say(f"{reason}. Until then no prices are written down.")
            return
        if text is not None:
            replace_file(self._folder.prices, text)

    @asynccontextmanager
    async def kept_in_order(self) -> AsyncGenerator[None]:
        """Ends and deletes files of the log when it is time, until the end of the block."""
        keeping = asyncio.create_task(self._keep_in_order())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_in_order(self) -> None:
        while True:
            self.rotate()
            await asyncio.sleep(_ROTATION_SECONDS)

    def rotate(self) -> None:
        """Does what is due; what cannot be done now is said, and done the next time."""
        complaint = ""
        try:
            if self._due():
                self._end()
            self._delete_old()
        except OSError as reason:
            complaint = f"The log of requests is not in order: {reason.filename}: {reason.strerror}."
            if complaint != self._complaint:
                self._say(complaint)
        self._complaint = complaint

    def _due(self) -> bool:
        current = _stat(self._folder.current)
        if not current or not current.st_size:
            self._begun = self._now().date()
            return False
        return current.st_size > self._largest or self._begun < self._now().date()

    def _end(self) -> None:
        now = self._now()
        name = f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03}Z"
        ended = self._folder.requests / f"{name}{SUFFIX}"
        again = 1
        while ended.exists():
            again += 1
            ended = self._folder.requests / f"{name}-{again}{SUFFIX}"
        self._folder.current.rename(ended)
        self._begun = now.date()

    def _delete_old(self) -> None:
        if self.keep is None:
            return
        oldest = (self._now() - self.keep).timestamp()
        for path in self._folder.ended():
            if path.stat().st_mtime < oldest:
                path.unlink()


def _stat(path: Path) -> os.stat_result | None:
    """None: there is no such file."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
