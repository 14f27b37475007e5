"""The files of one running engine: readable by nobody else, replaced by a rename so that none is read half.

Where the log of a stack's requests lies: `.corral/<stack>/` beside `stacks/`, readable by this user alone.

One run of a stack at a time: it holds a lock on `.corral/<stack>/lock`, which the kernel releases when it ends.

The file stays when the lock is gone: were it removed, one run could lock it and another one its successor.

The keys that a run of `corral serve` has made for tenants, in plain: `.corral/<stack>.keys.json` beside `stacks/`.

Readable by this user alone, and gone with the run: for the person who rehearses, and for `corral drill`.

Where the running engine of a stack is found by other commands: `.corral/<stack>.json` beside `stacks/`.

The file is readable by this user alone: it holds the token that commands the simulated hosts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil
from pydantic import TypeAdapter, ValidationError

from corral.local.envoy.names import Files
from corral.local.errors import EngineError
from corral.plan.plan import Plan

_LONGEST_SOCKET_PATH = 103
"""Bytes; macOS's limit (sys/un.h), four less than Linux's."""


def create_directory(stack: str) -> Files:
    """A new directory of mode 0700, short enough a path for a Unix socket."""
    try:
        files = Files(Path(tempfile.mkdtemp(prefix=f"corral-{stack[:20]}-")))
        files.secret("").parent.mkdir(mode=0o700)
    except OSError as reason:
        raise EngineError(f"No directory for Envoy's files in {tempfile.gettempdir()}: {reason.strerror}.") from None
    if len(os.fsencode(files.admin_socket)) > _LONGEST_SOCKET_PATH:
        remove_directory(files)
        raise EngineError(
            f"{tempfile.gettempdir()} is too long a path to hold a Unix socket: name a shorter directory in TMPDIR."
        )
    return files


def replace_file(path: Path, text: str) -> None:
    """Puts a file of mode 0600 in the place of another, at once."""
    new = path.with_name(path.name + ".new")
    try:
        new.touch(mode=0o600)
        new.write_text(text)
        new.replace(path)
    except OSError as reason:
        new.unlink(missing_ok=True)
        raise EngineError(f"{path} cannot be written: {reason.strerror}. Make room for it in {path.parent}.") from None


def remove_directory(files: Files) -> None:
    """Removes the whole directory."""
    shutil.rmtree(files.root, ignore_errors=True)


SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Folder:
    """One stack's."""

    root: Path

    @classmethod
    def of(cls, project: Path, stack: str) -> Folder:
        return cls(project / ".corral" / stack)

    @property
    def requests(self) -> Path:
        """The log: `current.jsonl`, and the files it was before, named for the moment that ended each."""
        return self.root / "requests"

    @property
    def current(self) -> Path:
        """The file that Envoy writes now."""
        return self.requests / f"current{SUFFIX}"

    @property
    def prices(self) -> Path:
        """Which prices were in force since when."""
        return self.root / f"prices{SUFFIX}"

    def make(self) -> None:
        """Makes the folders, of mode 0700.  Raises OSError."""
        for folder in (self.root.parent, self.root, self.requests):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ended(self) -> list[Path]:
        """The files that `current` was before, the oldest first.  Raises FileNotFoundError: there is no log."""
        return sorted(
            path for path in self.requests.iterdir() if path.suffix == SUFFIX and path.name != self.current.name
        )


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
    running = find_running(project, stack)
    state = f"served already, by process {running.pid} at {running.url}" if running else f"started by process {holder}"
    return f"Stack {stack} is being {state}. End that one first (Ctrl-C), or look at it with: corral status"


_KEYS = TypeAdapter(dict[str, str])


def keys_path(project: Path, stack: str) -> Path:
    """Where they lie."""
    return project / ".corral" / f"{stack}.keys.json"


def write_keys(project: Path, stack: str, made: Mapping[str, str]) -> None:
    """Per tenant its key; no file where none was made.  Raises EngineError."""
    file = keys_path(project, stack)
    if not made:
        file.unlink(missing_ok=True)
        return
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as reason:
        raise EngineError(f"{file.parent} cannot be made: {reason.strerror}.") from None
    replace_file(file, _KEYS.dump_json(dict(made), indent=2).decode() + "\n")


def forget_keys(project: Path, stack: str) -> None:
    """The run has ended."""
    keys_path(project, stack).unlink(missing_ok=True)


def read_keys(project: Path, stack: str) -> dict[str, str]:
    """Per tenant its key; empty where none was made, or nothing runs."""
    try:
        return _KEYS.validate_json(keys_path(project, stack).read_bytes())
    except (OSError, ValidationError):
        return {}


@dataclass(frozen=True)
class Running:
    """A running engine."""

    pid: int
    started: float
    """When its process was created (seconds since 1970), so that a number used again is not taken for it."""
    url: str
    page_url: str
    """Where the live page is."""
    admin_socket: str
    plan: Plan
    """What is in force: the stack file may hold an edit that was refused."""
    simulated: dict[str, str | None]
    """Per host why it is simulated; None: it is the real one."""
    control_url: str | None
    """Where the simulated hosts take commands; None: there are none."""
    control_token: str | None
    since: str
    """When the plan came into force, in ISO 8601."""


_RUNNING = TypeAdapter(Running)


def _file(project: Path, stack: str) -> Path:
    return project / ".corral" / f"{stack}.json"


def write_running(project: Path, stack: str, running: Running) -> None:
    """Makes an engine known.  Raises EngineError."""
    file = _file(project, stack)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as reason:
        raise EngineError(f"{file.parent} cannot be made: {reason.strerror}.") from None
    replace_file(file, _RUNNING.dump_json(running).decode())


def forget_running(project: Path, stack: str) -> None:
    """The engine has ended."""
    _file(project, stack).unlink(missing_ok=True)


def find_running(project: Path, stack: str) -> Running | None:
    """The running engine of a stack; None where there is none (any more)."""
    try:
        running = _RUNNING.validate_json(_file(project, stack).read_bytes())
    except (OSError, ValidationError):
        return None
    return running if _alive(running) else None


def _alive(running: Running) -> bool:
    try:
        return abs(psutil.Process(running.pid).create_time() - running.started) < 1
    except psutil.Error:
        return False
