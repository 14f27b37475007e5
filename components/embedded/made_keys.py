"""The keys that a run of `corral up` has made for tenants, in plain: `.corral/<stack>.keys.json` beside `stacks/`.

Readable by this user alone, and gone with the run: for the person who rehearses, and for `corral drill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from components.embedded import directory
from components.embedded.errors import EngineError

_KEYS = TypeAdapter(dict[str, str])


def path(project: Path, stack: str) -> Path:
    """Where they lie."""
    return project / ".corral" / f"{stack}.keys.json"


def write(project: Path, stack: str, made: Mapping[str, str]) -> None:
    """Per tenant its key; no file where none was made.  Raises EngineError."""
    file = path(project, stack)
    if not made:
        file.unlink(missing_ok=True)
        return
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as reason:
        raise EngineError(f"{file.parent} cannot be made: {reason.strerror}.") from None
    directory.replace(file, _KEYS.dump_json(dict(made), indent=2).decode() + "\n")


def forget(project: Path, stack: str) -> None:
    """The run has ended."""
    path(project, stack).unlink(missing_ok=True)


def read(project: Path, stack: str) -> dict[str, str]:
    """Per tenant its key; empty where none was made, or nothing runs."""
    try:
        return _KEYS.validate_json(path(project, stack).read_bytes())
    except (OSError, ValidationError):
        return {}
