"""How a count, a time and a size are said in a sentence."""

from __future__ import annotations


def number(count: int) -> str:
    """`131,072`."""
    return f"{count:,}"


def span(milliseconds: int) -> str:
    """`500 ms`, `90 s`, `2 min`: in the largest unit that leaves a whole number."""
    for unit, length in (("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if milliseconds % length == 0:
            return f"{number(milliseconds // length)} {unit}"
    return f"{number(milliseconds)} ms"


def size(count: int) -> str:
    """`50 MiB`, `512 KiB`, `1,000 bytes`: in the largest unit that leaves a whole number."""
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count % length == 0:
            return f"{number(count // length)} {unit}"
    return f"{number(count)} bytes"
