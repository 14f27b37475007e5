"""YAML text → a tree of nodes that know their line → plain values, as Pulumi's own reader makes them.

The tree is built from the parser's events rather than by a YAML loader: nothing is constructed, an alias stays an alias
and so cannot multiply, and depth is bounded.  Messages never quote the text: what is wrong may stand in a secret.

Pulumi reads a stack with go-yaml v3.  There `on`, `yes` and `no` are text; a day is a point in time; `0o17`, `017`,
`0x1f` and `1_000` are numbers.  So that nobody has to know this, a number is written in plain decimal digits here, a
day stays the text that was written, and what go-yaml would take for some other number is refused.  Tags, anchors,
aliases and merge keys are refused too: a stack says each thing where it counts, and every line number is that of the
thing itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeGuard

import yaml

from corral.catalog.load import LOADER
from corral.config.problems import DEEPEST_LEVEL, Keys, Mark, Report, Value


@dataclass(slots=True)
class Node:
    """An alias, unless it is of a class below."""

    start: Any
    """The parser's mark of where it starts."""
    is_marked: bool
    """Whether it has an explicit tag (`!!str`) or an anchor (`&name`)."""

    @property
    def mark(self) -> Mark:
        return Mark(self.start.line + 1, self.start.column + 1)

    def below(self, _: str | int, /) -> tuple[Mark, Node] | None:
        """Where a key of it stands, or an item, and its value; None: it has none such."""
        return None


@dataclass(slots=True)
class Scalar(Node):
    text: str
    is_plain: bool
    """Neither quoted nor a block."""


@dataclass(slots=True)
class Sequence(Node):
    items: list[Node]

    def below(self, key: str | int, /) -> tuple[Mark, Node] | None:
        item = self.items[key] if isinstance(key, int) and key < len(self.items) else None
        return item and (item.mark, item)


@dataclass(slots=True)
class Mapping(Node):
    entries: list[tuple[Node, Node]]

    def below(self, key: str | int, /) -> tuple[Mark, Node] | None:
        entries = (entry for entry in self.entries if isinstance(entry[0], Scalar) and entry[0].text == key)
        return next(((at.mark, value) for at, value in entries), None)


class NotYamlError(Exception):
    """The text is not one YAML document."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark, self.message = mark, message


def parse(text: str) -> Node | None:
    """The document's root; None where the text holds no document.  Raises `NotYamlError`."""
    if match := _CONTROL.search(text):
        line, column = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
        raise NotYamlError(Mark(line, column), f"a character that cannot be seen, U+{ord(match[0]):04X}: remove it")
    try:
        return _root(LOADER(text).get_event)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # the latter two of an escape that is no character
        raise NotYamlError(Mark(1, 1), "is not valid YAML") from None


def _root(next_event: Callable[[], Any]) -> Node | None:
    root: Node | None = None
    while not isinstance(event := next_event(), yaml.StreamEndEvent):
        match event:
            case yaml.NodeEvent():
                root = _node(event, next_event, DEEPEST_LEVEL)
            case yaml.DocumentStartEvent() if root:
                message = "a second document starts here, and a stack is one: remove the line ---"
                raise NotYamlError(Node(event.start_mark, is_marked=False).mark, message)
            case _:
                pass
    return root


def _node(event: Any, next_event: Callable[[], Any], levels: int) -> Node:
    """The node that starts with this event; `levels` of nesting are left."""
    if type(event) is yaml.ScalarEvent:
        return Scalar(event.start_mark, bool(event.anchor or event.tag), event.value, not event.style)
    if isinstance(event, yaml.AliasEvent):
        return Node(event.start_mark, is_marked=False)
    start, is_marked = event.start_mark, bool(event.anchor or event.tag)
    if not levels:
        raise NotYamlError(Node(start, is_marked).mark, f"is nested deeper than {DEEPEST_LEVEL} levels")
    below: list[Node] = []
    while not isinstance(inner := next_event(), yaml.CollectionEndEvent):
        below.append(_node(inner, next_event, levels - 1))
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence(start, is_marked, below)
    return Mapping(start, is_marked, list(zip(below[::2], below[1::2], strict=True)))


_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML text may not have (YAML 1.2.2, production 1), and a byte order mark inside."""


_MEANINGS = (
    (
        "mapping values are not allowed",
        "a `:` that cannot be here: mend the indentation, end the key above with `:`, or quote a text that holds `: `",
    ),
    ("could not find expected ':'", "a key without its `:`, or a text that is indented too little"),
    ("sequence entries are not allowed", "a list cannot start beside its key: start it on the next line"),
    ("cannot start any token", "a text that starts with this character must stand in quotes"),
    ("unknown escape character", "an unknown escape in double quotes: use single quotes, or write a backslash twice"),
    ("undefined tag handle", "tags (`!name`) have no meaning here: remove it"),
    ("node content", "a value is missing, or a bracket is one too many"),
    ("<document start>", "the lines up to here are not a mapping: every key needs its `:`"),
)
"""Messages by a phrase of the problem that libyaml and PyYAML's own parser have in common."""

_BLOCKS = (
    ("block mapping", "does not belong here: mend the indentation, or quote the value as a whole"),
    ("block collection", "the lines of a list start with `- `, all at the same indentation"),
)
"""Messages by what was being read, where no more is known."""

_UNFINISHED = (
    ("unexpected end of stream", "the quote that opens here is not closed"),
    ("',' or ']'", "the `[` that opens here is not closed, or a comma is missing"),
    ("',' or '}'", "the `{` that opens here is not closed, or a comma is missing"),
)
"""Messages that belong where the thing began."""


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> NotYamlError:
    at, opened, problem = error.problem_mark, error.context_mark, error.problem or ""
    here = Mark(at.line + 1, at.column + 1) if at else Mark(1, 1)
    lines = text.splitlines()
    line = lines[here.line - 1] if here.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return NotYamlError(here, "a tab in the indentation: YAML allows only spaces there")
    if opened:
        for phrase, meaning in _UNFINISHED:
            if phrase in problem:
                return NotYamlError(Mark(opened.line + 1, opened.column + 1), meaning)
    in_problem = (meaning for phrase, meaning in _MEANINGS if phrase in problem)
    in_context = (meaning for phrase, meaning in _BLOCKS if phrase in (error.context or ""))
    return NotYamlError(here, next(chain(in_problem, in_context), "is not valid YAML"))


_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_OTHER_NUMBER = re.compile(
    r"""[-+]?0 ( x[0-9a-f_]+ | o?[0-7_]+ | b[01_]+ )
      | [-+]? ( [0-9][0-9_]* (\.[0-9_]*)? | \.[0-9]+ ) ( e[-+]?[0-9_]+ )?
      | [-+]?\.inf | \.nan""",
    re.VERBOSE | re.IGNORECASE,
)
"""Further numbers of go-yaml: other bases, leading zeros, groups, exponents, numbers too large."""
_FIRST_OF_NUMBERS = frozenset("-+.0123456789")
_CONSTANTS = {"": None, "~": None} | {
    spelling: value
    for name, value in (("null", None), ("true", True), ("false", False))
    for spelling in (name, name.capitalize(), name.upper())
}


class _UnreadableError(Exception):
    """A node that has no plain value; says why."""


def value_of(node: Node, keys: Keys, report: Report, *, as_text: bool = False) -> Value:
    """The node's plain value; what has none is reported and reads as None.

    `as_text`: every scalar is the text that is written, whatever it looks like.
    """
    try:
        _refuse_marked(node)
        match node:
            case Scalar():
                return node.text if as_text else _scalar(node)
            case Sequence():
                return [
                    value_of(item, (*keys, place), report, as_text=as_text) for place, item in enumerate(node.items)
                ]
            case Mapping():
                return {
                    key: value.text if _is_text(value) else value_of(value, (*keys, key), report, as_text=as_text)
                    for key, _, value in entries_of(node, keys, report)
                }
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
            key = at.text if _is_text(at) and at.text != "<<" else _key(at)
        except _UnreadableError as why:
            report.add(keys, str(why), at.mark)
            continue
        if key in seen:
            first = seen[key].mark.line
            report.add((*keys, key), f"stands here again, after line {first}: keep one of them", at.mark)
        else:
            seen[key] = at
            yield key, at, value


def _is_text(node: Node) -> TypeGuard[Scalar]:
    """Whether it is evidently a text, as most are."""
    return (
        type(node) is Scalar
        and not node.is_marked
        and not (node.is_plain and (node.text[:1] in _FIRST_OF_NUMBERS or node.text in _CONSTANTS))
    )


def _scalar(node: Scalar) -> str | int | float | bool | None:
    if not node.is_plain or not (node.text[:1] in _FIRST_OF_NUMBERS or node.text in _CONSTANTS):
        return node.text
    if node.text in _CONSTANTS:
        return _CONSTANTS[node.text]
    if _INTEGER.fullmatch(node.text):
        return int(node.text)
    if _FRACTION.fullmatch(node.text):
        return float(node.text)
    if _OTHER_NUMBER.fullmatch(node.text):
        raise _UnreadableError("a number is written in plain digits, like 1000 or 0.72; for a text put it in quotes")
    return node.text


def _key(node: Node) -> str:
    _refuse_marked(node)
    if not isinstance(node, Scalar):
        raise _UnreadableError("a key must be plain text; a text that starts with { or [ must stand in quotes")
    if node.text == "<<" and node.is_plain:
        raise _UnreadableError("a merge key (`<<`) is not read here: write out what it stands for")
    if not isinstance(key := _scalar(node), str):
        raise _UnreadableError("a key must be text: put it in quotes")
    return key


def _refuse_marked(node: Node) -> None:
    if node.is_marked:
        raise _UnreadableError("tags (`!name`) and anchors (`&name`) are not read here: remove them")
