"""What is wrong with a stack's configuration, said to the person who wrote it.

A problem is one line: where (file, line, key), what is wrong, the way out.  All problems are said at once, in the
order of the file.  No problem ever shows a secret: nothing that stands below `corral:keys` and `corral:tenantKeys`, and
no value that stands under `secure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from components.config.names import named

Keys = tuple[str | int, ...]
"""A place in the configuration: `("corral:models", "llama-3.3-70b", "fallback", 0)`."""

SECRETS: Final = "corral:keys"
TENANT_SECRETS: Final = "corral:tenantKeys"
SECRET_PLACES: Final = (SECRETS, TENANT_SECRETS)
"""The places of secrets: the keys of hosts, and those of tenants."""


class Mark(NamedTuple):
    """A place in the file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    file: str
    line: int | None
    """None where the configuration did not come from a file."""
    key: str
    """`corral:models.llama-3.3-70b.shares`; empty where the file as a whole is meant."""
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Report:
    """The problems found so far in one configuration, and where its keys stand in the file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.marks: dict[Keys, Mark] = {}
        self._found: dict[tuple[Keys, str, Mark | None], None] = {}
        self._void: set[Keys] = set()
        self.owners: dict[str, set[str]] = {}
        """Per place of secrets the hosts, or tenants, that are known to be such, and may be named."""

    def add(self, keys: Keys, message: str, mark: Mark | None = None) -> None:
        """A problem at this place; `mark` where it does not stand at the key."""
        self._found.setdefault((keys, message, mark))

    def void(self, keys: Keys, message: str, mark: Mark | None = None) -> None:
        """A problem that leaves nothing there to look at: what else would be said of this place is not."""
        self.add(keys, message, mark)
        self.excuse(keys)

    def excuse(self, keys: Keys) -> None:
        """Nothing is to be said of this place: what is wrong there was said elsewhere."""
        self._void.add(keys)

    def is_void(self, keys: Keys) -> bool:
        return bool(self._void) and any(keys[:length] in self._void for length in range(1, len(keys) + 1))

    def mark(self, keys: Keys) -> Mark | None:
        """Where the key stands, or the nearest one around it: a missing key stands nowhere."""
        return next((self.marks[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in self.marks), None)

    def problems(self) -> tuple[Problem, ...]:
        placed = [(mark or self.mark(keys), keys, message) for keys, message, mark in self._found]
        placed.sort(key=lambda found: found[0] or Mark(0, 0))
        problems = (Problem(self.file, mark and mark.line, self._spelled(keys), said) for mark, keys, said in placed)
        return tuple(dict.fromkeys(problems))

    def _spelled(self, keys: Keys) -> str:
        """Of a place of secrets the host or tenant at most: a key may have been pasted one place too early."""
        if keys and keys[0] in SECRET_PLACES:
            return spelled(keys[:2] if keys[1:] and keys[1] in self.owners.get(str(keys[0]), ()) else keys[:1])
        return spelled(keys)

    def stop(self) -> ConfigError:
        """To be raised where nothing more can be found."""
        return ConfigError(self.problems())


def spelled(keys: Keys) -> str:
    """`corral:models.llama-3.3-70b.fallback[0]`, always on one line."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{named(key)}" for key in keys).removeprefix(".")
