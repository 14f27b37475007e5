"""The git repository that a stack file lies in: its commit, a file as a revision has it, the commits that changed it.

Where there is no repository, or no git, nothing is known of a commit: None, never a guess.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

DIRTY = "-dirty"
"""What follows a commit when what was read differs from it."""

_HEAD, _NO_COMMIT = "# branch.oid ", "(initial)"
"""How `git status` tells the commit."""


class NoRevisionError(Exception):
    """The revision cannot be looked at; the message says why."""


@dataclass(frozen=True)
class Commit:
    """A commit that changed a file."""

    sha: str
    moment: datetime
    """When it was committed."""
    title: str
    """Who wrote it, and its subject."""


def commit_of(*files: Path) -> str | None:
    """The commit that is checked out where the files lie, with `-dirty` where one of them differs from it."""
    folder = files[0].resolve().parent
    try:
        form = ("--porcelain=v2", "--branch", "--untracked-files=all")
        status = _git(folder, "status", *form, "--", *(each.name for each in files))
    except NoRevisionError:
        return None
    lines = (status or "").splitlines()
    head = next((line.removeprefix(_HEAD) for line in lines if line.startswith(_HEAD)), _NO_COMMIT)
    changed = any(not line.startswith("#") for line in lines)
    return None if head == _NO_COMMIT else head + (DIRTY if changed else "")


def head_log(file: Path) -> Path | None:
    """The file that git writes into whenever another commit is checked out where `file` lies."""
    folder = file.resolve().parent
    try:
        path = _git(folder, "rev-parse", "--git-path", "logs/HEAD")
    except NoRevisionError:
        return None
    return folder / path.strip() if path else None


def commits(file: Path, *, at: str | None = None) -> list[Commit]:
    """Those that changed the file, the newest first; `at`: that one alone, whatever it changed.

    Raises NoRevisionError where there is no git.
    """
    which = ("-1", at) if at else ("HEAD", "--", file.name)
    listed = _git(file.resolve().parent, "log", "--format=%H %cI %an: %s", *which) or ""
    lines = (line.split(" ", 2) for line in listed.splitlines())
    return [Commit(sha, datetime.fromisoformat(moment), title) for sha, moment, title in lines]


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
