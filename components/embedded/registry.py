"""Where the running engine of a stack is found by other commands: `.corral/<stack>.json` beside `stacks/`.

The file is readable by this user alone: it holds the token that commands the simulated hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from components.embedded import directory
from components.embedded.errors import EngineError
from components.plan.plan import Plan


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
    requests: list[tuple[str, str, int, int]]
    """Envoy's counters (model, host, status, number) when the plan in force came into force."""
    attempts: list[tuple[str, str, int, int]]
    since: str
    """When that was, in ISO 8601."""


_RUNNING = TypeAdapter(Running)


def _file(project: Path, stack: str) -> Path:
    return project / ".corral" / f"{stack}.json"


def write(project: Path, stack: str, running: Running) -> None:
    """Makes an engine known.  Raises EngineError."""
    file = _file(project, stack)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as reason:
        raise EngineError(f"{file.parent} cannot be made: {reason.strerror}.") from None
    directory.replace(file, _RUNNING.dump_json(running).decode())


def forget(project: Path, stack: str) -> None:
    """The engine has ended."""
    _file(project, stack).unlink(missing_ok=True)


def find(project: Path, stack: str) -> Running | None:
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
