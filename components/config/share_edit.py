"""A share edit as a person makes it: numbers in the text of a stack file, and nothing else in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.config import yaml_tree
from components.config.yaml_tree import Node, Scalar, parse


def with_shares(text: str, shares: Mapping[str, Mapping[str, int]]) -> str:
    """The text of a valid stack file with these shares, by model and host, in place of those it has.

    Raises KeyError for a model or a host that the file gives no share.
    """
    lines = text.splitlines(keepends=True)
    numbers = [
        (_at(_at(_at(models, model), "shares"), host), share)
        for models in (_at(_at(parse(text), "config"), "corral:models"),)
        for model, of_model in shares.items()
        for host, share in of_model.items()
    ]
    for number, share in sorted(numbers, key=lambda found: found[0].mark, reverse=True):
        if not isinstance(number, Scalar):
            raise KeyError(f"no number at line {number.mark.line}")
        line, begin = number.mark.line - 1, number.mark.column - 1
        lines[line] = f"{lines[line][:begin]}{share}{lines[line][begin + len(number.text) :]}"
    return "".join(lines)


def _at(node: Node | None, key: str) -> Node:
    for name, value in _entries(node):
        if isinstance(name, Scalar) and name.text == key:
            return value
    raise KeyError(key)


def _entries(node: Node | None) -> Iterator[tuple[Node, Node]]:
    if isinstance(node, yaml_tree.Mapping):
        yield from node.entries
