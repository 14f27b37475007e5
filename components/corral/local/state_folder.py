"""What a run keeps on disk: `.corral/<stack>/` beside `stacks/`, and Envoy's files in a directory of their own.

    lock            held by the one run of a stack for as long as it lives; the kernel lets it go when the run ends
    running.json    where other commands find the run; with the token that commands the simulated hosts
    keys.json       the keys that the run has generated for tenants, in plain: for the person who rehearses, and a drill
    requests/       the log of requests
    mirrored.jsonl  what became of copies of requests, and of the requests; the part before it ends in .older
    prices.jsonl    which prices were in force since when
    budgets         what tenants with a budget have spent (`budgets.py`); in rehearsals budgets.rehearsed

Everything is readable by this user alone, replaced by a rename so that nothing is read half, and kept out of version
control.  `running.json` and `keys.json` go with the run.  The lock's file stays: were it removed, one run could lock it
and another one its successor.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from corral.local.envoy.names import Files
from corral.local.errors import EngineError
from corral.plan.memory import memoized
from corral.plan.plan import ModelPlan, Plan

SUFFIX = ".jsonl"

_LONGEST_SOCKET_PATH_BYTES = 103
"""macOS's limit (sys/un.h), four less than Linux's."""


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


@dataclass(frozen=True)
class _Content:
    """What the file of a running engine holds."""

    running: Running
    """Its plan is without models."""
    models: tuple[ModelPlan, ...]


_CONTENT = TypeAdapter(_Content)
_RUNNING = TypeAdapter(Running)
_MODEL = TypeAdapter(ModelPlan)
_KEYS = TypeAdapter(dict[str, str])


@memoized
def _model_json(model: ModelPlan) -> str:
    return _MODEL.dump_json(model, exclude_defaults=True).decode()


@dataclass(frozen=True)
class StateFolder:
    """One stack's."""

    root: Path

    @classmethod
    def of(cls, project: Path, stack: str) -> StateFolder:
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
        return self.root / f"prices{SUFFIX}"

    @property
    def budgets(self) -> Path:
        return self.root / "budgets"

    @property
    def rehearsed_budgets(self) -> Path:
        return self.root / "budgets.rehearsed"

    @property
    def mirrored(self) -> Path:
        return self.root / f"mirrored{SUFFIX}"

    @property
    def generated_keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def _running(self) -> Path:
        return self.root / "running.json"

    def make(self) -> None:
        """Makes the folders.  Raises OSError."""
        for folder in (self.root.parent, self.root, self.requests):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignored = self.root.parent / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")

    def ended(self) -> list[Path]:
        """The files that `current` was before, the oldest first.  Raises FileNotFoundError: there is no log."""
        return sorted(path for path in self.requests.iterdir() if path.suffix == SUFFIX and path != self.current)

    @contextmanager
    def claimed(self) -> Generator[None]:
        """The stack is this process's until the end of the block.  Raises EngineError: it is another's."""
        path = self.root / "lock"
        try:
            self.make()
            path.touch(mode=0o600)
            lock = path.open("r+")
        except OSError as reason:
            raise EngineError(f"{path} cannot be made: {reason.strerror}.") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EngineError(self._claimed_already(lock.read())) from None
            except OSError as reason:
                raise EngineError(f"{path} cannot be locked: {reason.strerror}.") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                self._running.unlink(missing_ok=True)
                self.generated_keys.unlink(missing_ok=True)

    def _claimed_already(self, holder: str) -> str:
        """`holder` is what the one who holds the lock has written of itself, which comes a moment later."""
        state, running = f"started by process {holder}", self.running()
        if running:
            state = f"served already, by process {running.pid} at {running.url}"
        way_out = "End that one first (Ctrl-C), or look at it with: corral status"
        return f"Stack {self.root.name} is being {state}. {way_out}"

    def write_running(self, running: Running) -> None:
        """Makes an engine known.  Raises EngineError."""
        entry = _RUNNING.dump_json(replace(running, plan=replace(running.plan, models=()))).decode()
        models = ",".join(map(_model_json, running.plan.models))
        replace_file(self._running, f'{{"running":{entry},"models":[{models}]}}')

    def running(self) -> Running | None:
        """The running engine; None where there is none (any more)."""
        try:
            content = _CONTENT.validate_json(self._running.read_bytes())
            running = replace(content.running, plan=replace(content.running.plan, models=content.models))
            alive = abs(psutil.Process(running.pid).create_time() - running.started) < 1
        except (OSError, ValidationError, psutil.Error):
            return None
        return running if alive else None

    def write_generated_keys(self, keys: Mapping[str, str]) -> None:
        """Per tenant its key; no file where there is none.  Raises EngineError."""
        if keys:
            replace_file(self.generated_keys, _KEYS.dump_json(dict(keys), indent=2).decode() + "\n")
        else:
            self.generated_keys.unlink(missing_ok=True)

    def read_generated_keys(self) -> dict[str, str]:
        """Per tenant its key; empty where none was generated, or nothing runs."""
        try:
            return _KEYS.validate_json(self.generated_keys.read_bytes())
        except (OSError, ValidationError):
            return {}


@contextmanager
def envoy_directory(stack: str) -> Generator[Files]:
    """A new directory for Envoy's files until the end of the block, with a path short enough for a Unix socket.

    Raises EngineError.
    """
    try:
        files = Files(Path(tempfile.mkdtemp(prefix=f"corral-{stack[:20]}-")))
    except OSError as reason:
        raise EngineError(f"No directory for Envoy's files in {tempfile.gettempdir()}: {reason.strerror}.") from None
    try:
        files.secrets.mkdir(mode=0o700)
        if len(os.fsencode(files.admin_socket)) > _LONGEST_SOCKET_PATH_BYTES:
            raise EngineError(
                f"{tempfile.gettempdir()} is too long a path to hold a Unix socket: name a shorter directory in TMPDIR."
            )
        yield files
    finally:
        shutil.rmtree(files.root, ignore_errors=True)


def replace_file(path: Path, text: str) -> None:
    """Puts a file of mode 0600 in the place of another, at once.  Raises EngineError."""
    new = path.with_name(path.name + ".new")
    try:
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as reason:
        new.unlink(missing_ok=True)
        raise EngineError(f"{path} cannot be written: {reason.strerror}. Make room for it in {path.parent}.") from None
