"""Nodes → plain values: text, numbers, true and false, lists and mappings, as Pulumi's own reader makes them.

Pulumi reads a stack with go-yaml v3.  There `on`, `yes` and `no` are text; a day is a point in time; `0o17`, `017`,
`0x1f` and `1_000` are numbers.  So that nobody has to know this, a number is written in plain decimal digits here, a
day stays the text that was written, and what go-yaml would take for some other number is refused.  Tags, anchors,
aliases and merge keys are refused too: a stack says each thing where it counts, and every line number is that of the
thing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from components.config.errors import Keys, Report
from components.config.yaml_tree import Mapping, Node, Scalar, Sequence

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_OTHER_NUMBER = re.compile(
    r"""[-+]?0 ( x[0-9a-f_]+ | o?[0-7_]+ | b[01_]+ )
      | [-+]? ( [0-9][0-9_]* (\.[0-9_]*)? | \.[0-9]+ ) ( e[-+]?[0-9_]+ )?
      | [-+]?\.inf | \.nan""",
    re.VERBOSE | re.IGNORECASE,
)
"""What go-yaml takes for a number besides: other bases, leading zeros, groups, exponents, numbers too large."""
_NUMBER_BEGINS = frozenset("+-.0123456789")
_CONSTANTS = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}


class _UnreadableError(Exception):
    """A node that has no plain value; says why."""


def value_of(node: Node, keys: Keys, report: Report, *, as_text: bool = False) -> Any:
    """The node's plain value; what has none is reported and reads as None.  Marks each key below it in the report.

    `as_text`: every scalar is the text that is written, whatever it looks like.
    """
    try:
        match node:
            case Scalar():
                return node.text if as_text else _scalar(node)
            case Sequence():
                _refuse_marked(node)
                items: list[Any] = []
                for place, item in enumerate(node.items):
                    report.marks[(*keys, place)] = item.mark
                    items.append(value_of(item, (*keys, place), report, as_text=as_text))
                return items
            case Mapping():
                _refuse_marked(node)
                entries: dict[str, Any] = {}
                for key, at, value in entries_of(node, keys, report):
                    report.marks[(*keys, key)] = at.mark
                    entries[key] = value_of(value, (*keys, key), report, as_text=as_text)
                return entries
            case _:
                raise _UnreadableError("an alias (`*name`) is not read here: write out what it stands for")
    except _UnreadableError as why:
        report.void(keys, str(why), node.mark)
        return None


def entries_of(node: Mapping, keys: Keys, report: Report) -> Iterator[tuple[str, Node, Node]]:
    """Key, the key's node and the value's; a key that is no text, or was there before, is reported and left out."""
    seen: dict[str, Node] = {}
    for at, value in node.entries:
        try:
            key = _key(at)
        except _UnreadableError as why:
            report.add(keys, str(why), at.mark)
            continue
        if key in seen:
            first = seen[key].mark.line
            report.add((*keys, key), f"stands here again, after line {first}: keep one of them", at.mark)
        else:
            seen[key] = at
            yield key, at, value


def _scalar(node: Scalar) -> str | int | float | bool | None:
    _refuse_marked(node)
    if node.quoted:
        return node.text
    if node.text in _CONSTANTS:
        return _CONSTANTS[node.text]
    if node.text[0] not in _NUMBER_BEGINS:
        return node.text
    if _INTEGER.fullmatch(node.text):
        return int(node.text)
    if _FRACTION.fullmatch(node.text):
        return float(node.text)
    if _OTHER_NUMBER.fullmatch(node.text):
        raise _UnreadableError("a number is written in plain digits, like 1000 or 0.72; for a text put it in quotes")
    return node.text


def _key(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise _UnreadableError("a key must be plain text; a text that starts with { or [ must stand in quotes")
    if node.text == "<<" and not node.quoted:
        raise _UnreadableError("a merge key (`<<`) is not read here: write out what it stands for")
    if not isinstance(key := _scalar(node), str):
        raise _UnreadableError("a key must be text: put it in quotes")
    return key


def _refuse_marked(node: Node) -> None:
    if node.marked:
        raise _UnreadableError("tags (`!name`) and anchors (`&name`) are not read here: remove them")
