"""Names in messages: written on one line, listed, and the nearest valid one for a name that is not valid."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

from components.config.wording import shown

_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")

_FEW = 12
"""As many names a message may list."""

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
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else None


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
