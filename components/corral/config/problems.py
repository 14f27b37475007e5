"""The problems of a configuration, for the person who wrote it, and how names, values and amounts stand in a message.

A problem is one line: where (file, line, key), what is wrong, the way out.  All problems come at once, in the order of
the file.  No problem ever shows a secret: nothing that stands below `corral:keys` and `corral:tenantKeys`, and no value
that stands under `secure`.  Names and values are always short, and always on one line.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
"""A plain value of a configuration."""


def shown(value: object) -> str:
    """A value as YAML would have it; of lists and mappings only that they are such."""
    match value:
        case str():
            short = value if len(value) <= 40 else f"{value[:39]}…"
            return json.dumps(short, ensure_ascii=not short.isprintable())
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 10**18:
            return "a huge number"
        case int() | float():
            return str(value)
        case _:
            return kind_of(value)


def kind_of(value: object) -> str:
    """The sort of the value, in a person's words."""
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "something else"


def flow(value: Value) -> str:
    """A value as one would type it: `{bedrock: 60, vllm: 40}`."""
    match value:
        case dict():
            return f"{{{', '.join(f'{key}: {flow(below)}' for key, below in value.items())}}}"
        case list():
            return f"[{', '.join(map(flow, value))}]"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")

_FEW = 18
"""The most names that a message lists."""

_LONGEST = 128
"""No valid name is longer; comparing takes the square of the length."""


def named(name: str) -> str:
    """A name as it stands, or quoted where it has characters that no name has."""
    return name if _PLAIN.fullmatch(name) else shown(name)


def listed(names: Sequence[str], last: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`, in the order given."""
    *front, end = map(named, names)
    return f"{', '.join(front)} {last} {end}" if front else end


def nearest(name: str, valid: Collection[str]) -> str | None:
    """The valid name that was probably meant, whatever its case; None where none is near."""
    if len(name) > _LONGEST:
        return None
    folded = {known.lower(): known for known in sorted(valid)}
    matches = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None


def correction(name: str, valid: Collection[str], prefix: str = "") -> str:
    """The end of a message about a name that is not valid: the nearest valid one, and all of them where they are few.

    Starts with its own punctuation; empty where there is nothing to say.  `prefix` stands in front of every valid name.
    """
    near = nearest(name, valid)
    meant = f"did you mean {prefix}{named(near)}?" if near else ""
    names = ", ".join(f"{prefix}{named(known)}" for known in sorted(valid))
    if not 0 < len(valid) <= _FEW or set(valid) == {near}:
        return f": {meant}" if meant else ""
    return f": {meant} Valid are {names}" if meant else f": valid {'is' if len(valid) == 1 else 'are'} {names}"


Keys = tuple[str | int, ...]
"""A place in the configuration: `("corral:models", "llama-3.3-70b", "fallback", 0)`."""

DEEPEST_LEVEL: Final = 32
"""Levels of nesting in a configuration; the schema needs 8."""

HOSTS: Final = "corral:hosts"
MODELS: Final = "corral:models"
TENANTS: Final = "corral:tenants"
SECRETS: Final = "corral:keys"
TENANT_SECRETS: Final = "corral:tenantKeys"
SECRET_PLACES: Final = (SECRETS, TENANT_SECRETS)
"""The places of secrets: the keys of hosts, and those of tenants."""


class Mark(NamedTuple):
    """A place in the file; both count from 1."""

    line: int
    column: int


class Located(Protocol):
    """A part of the file."""

    def below(self, _: str | int, /) -> tuple[Mark, Located] | None:
        """Where a key of it stands, or an item, and its value; None: it has none such."""
        ...


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
    """The problems of one configuration so far, and where its keys stand in the file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.start: Mark | None = None
        """Where the configuration starts; None: it did not come from a file."""
        self.root: Located | None = None
        """What says where the keys stand."""
        self._reported: dict[tuple[Keys, str, Mark | None], None] = {}
        self._void: set[Keys] = set()
        self._around_void: set[Keys] = set()
        self.owners: dict[str, set[str]] = {}
        """The hosts, or tenants, that a message may name, by the place of their secrets."""

    def add(self, keys: Keys, message: str, mark: Mark | None = None) -> None:
        """A problem at this place; `mark` where it does not stand at the key."""
        self._reported.setdefault((keys, message, mark))

    def relate(self, keys: Keys, message: str) -> None:
        """A problem of this place with others, unless the place is void."""
        if not self.is_void(keys):
            self.add(keys, message)

    def void(self, keys: Keys, message: str, mark: Mark | None = None) -> None:
        """A problem that leaves nothing there to look at: what else would be said of this place is not."""
        self.add(keys, message, mark)
        self.excuse(keys)

    def excuse(self, keys: Keys) -> None:
        """Nothing is to be said of this place: what is wrong there was said elsewhere."""
        self._void.add(keys)
        self._around_void.update(keys[:length] for length in range(1, len(keys)))

    def is_void(self, keys: Keys) -> bool:
        return bool(self._void) and any(keys[:length] in self._void for length in range(1, len(keys) + 1))

    def is_sound(self, keys: Keys) -> bool:
        """Whether no place is void around, at or below this one."""
        return keys not in self._around_void and not self.is_void(keys)

    def has(self, value: object, keys: Keys) -> bool:
        """Whether the stack has the key, be it with a value that is wrong."""
        return value is not None or self.is_void(keys)

    def mark(self, keys: Keys) -> Mark | None:
        """Where the key stands, or the nearest one around it: a missing key stands nowhere."""
        mark, node = self.start, self.root
        for key in keys:
            if node is None or (there := node.below(key)) is None:
                break
            mark, node = there
        return mark

    def problems(self) -> tuple[Problem, ...]:
        placed = [(mark or self.mark(keys), keys, message) for keys, message, mark in self._reported]
        placed.sort(key=lambda problem: problem[0] or Mark(0, 0))
        problems = (Problem(self.file, mark and mark.line, self._spelled(keys), text) for mark, keys, text in placed)
        return tuple(dict.fromkeys(problems))

    def _spelled(self, keys: Keys) -> str:
        """A place of secrets names its host or tenant at most: a key may have been pasted one place too early."""
        if keys and keys[0] in SECRET_PLACES:
            return spelled(keys[:2] if keys[1:] and keys[1] in self.owners.get(str(keys[0]), ()) else keys[:1])
        return spelled(keys)

    def stop(self, keys: Keys = (), message: str = "", mark: Mark | None = None) -> ConfigError:
        """To be raised where nothing more can be reported; with a last problem."""
        if message:
            self.add(keys, message, mark)
        return ConfigError(self.problems())


def spelled(keys: Keys) -> str:
    """`corral:models.llama-3.3-70b.fallback[0]`, always on one line."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{named(key)}" for key in keys).removeprefix(".")


def missing_extra(extra: str, needed_by: str) -> str:
    """That an extra of the package is not installed, with the command that installs it."""
    return f"{needed_by} needs libraries that are not installed here: pip install 'corral[{extra}]'"


def number(count: int) -> str:
    """`131,072`."""
    return f"{count:,}"


def span(milliseconds: int) -> str:
    """`500 ms`, `90 s`, `2 min`: in the largest unit that leaves a whole number."""
    return _in_largest(milliseconds, (("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)))


def size(count: int) -> str:
    """`50 MiB`, `512 KiB`, `1,000 bytes`: in the largest unit that leaves a whole number."""
    return _in_largest(count, (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("bytes", 1)))


def _in_largest(count: int, units: Sequence[tuple[str, int]]) -> str:
    unit, length = next((unit, length) for unit, length in units if count % length == 0)
    return f"{number(count // length)} {unit}"
