"""A file as a git revision has it."""

from __future__ import annotations

import subprocess
from pathlib import Path


class NoRevisionError(Exception):
    """The revision cannot be looked at; the message says why."""


def at_revision(root: Path, file: str, revision: str) -> str | None:
    """The text of `file`, a path below `root`, as the revision has it; None: it is not there.

    Raises NoRevisionError.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        inside = _git(root, "rev-parse", "--is-inside-work-tree") is not None
        raise NoRevisionError(f"git knows no revision {revision!r}" if inside else f"{root} is no git work tree")
    if not _git(root, "ls-tree", "--name-only", commit.strip(), "--", file):
        return None
    return _git(root, "show", f"{commit.strip()}:./{file}")


def _git(root: Path, *arguments: str) -> str | None:
    """What git writes; None where it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607
            check=False,
            capture_output=True,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise NoRevisionError("there is no git on PATH") from None
    return done.stdout if done.returncode == 0 else None
