"""Where the log of a stack's requests lies: `.corral/<stack>/` beside `stacks/`, readable by this user alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
