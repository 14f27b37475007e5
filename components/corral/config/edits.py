"""An edit of models, read by itself: only the lines of the models that it has changed.

Policy.  The file is read as a whole wherever anything else has changed, or anything is wrong, so that no message comes
from here.  What is read here is the same as if the whole were.  A model's lines begin with the line of its key, which
has nothing but spaces before it; they end with the line of the next key of its level or of one around it.  The new
lines must be a mapping of their own that begins in their first column of text, at the models' indentation, and must end
with a line's end: so nothing before them goes on in them, and nothing in them goes on behind them, for in YAML what a
line at that indentation begins is the next key.  The marks of documents and directives stand at the left margin, where
no line of a model begins; breaks of lines that are none elsewhere are left to the whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError

from corral.catalog.catalog import Catalog
from corral.catalog.patterns import ModelName
from corral.config.problems import MODELS, Report
from corral.config.provisioning import check_provisioning
from corral.config.relations import check_relations
from corral.config.stack import Model, Stack
from corral.config.stack_file import ModelLines, model_lines, usable
from corral.config.yaml_tree import NotYamlError, parse, value_of

_MODELS = TypeAdapter(dict[ModelName, Model], config=ConfigDict(strict=True, hide_input_in_errors=True))

_BEYOND = re.compile("^[^ #\n]|[\r\x85\u2028\u2029]", re.MULTILINE)
"""A line that may end the document, or one that not everybody ends alike."""


@dataclass(frozen=True)
class ReadStack:
    """A stack with the text that it was read from."""

    text: str
    stack: Stack
    keys: Collection[str]
    """Those of its `config`."""
    lines: ModelLines | None
    """Where its models stand; None: not each on lines of its own."""


def edited(former: ReadStack, text: str, catalog: Catalog) -> ReadStack | None:
    """The stack of a text that differs from the former one in models alone; None: it has to be read as a whole."""
    if (lines := former.lines) is None:
        return None
    before, starts, longer = former.text, lines.starts, len(text) - len(former.text)
    same = _common(before, text)
    same_end = _common(before[same:][::-1], text[same:][::-1])
    first = bisect_right(starts, same, hi=len(starts) - 1) - 1
    last = bisect_left(starts, len(before) - same_end, lo=first + 1)
    if first < 0 or last == len(starts):
        return None
    chunk = text[starts[first] : starts[last] + longer]
    if _BEYOND.search(chunk) or not (chunk.endswith("\n") or starts[last] == len(before)):
        return None
    report = Report("")
    try:
        root = parse(chunk)
        new = model_lines(root, chunk, len(chunk))
        if root is None or new is None or new.column != lines.column or new.starts[0]:
            return None
        values = usable(value_of(root, (MODELS,), report), (MODELS,), report)
        models = _MODELS.validate_python(values, by_alias=True, by_name=False)
    except (NotYamlError, ValidationError):
        return None
    names = [*former.stack.models]
    kept = {name: former.stack.models[name] for name in (*names[:first], *names[last:])}
    if models.keys() & kept.keys():
        return None
    of_models = {name: kept[name] for name in names[:first]} | models | {name: kept[name] for name in names[last:]}
    stack = former.stack.model_copy(update={"models": of_models})
    check_relations(stack, catalog, report, kept)
    check_provisioning(stack, former.keys, catalog, report)
    if report.problems():
        return None
    moved = (*(starts[first] + start for start in new.starts[:-1]), *(start + longer for start in starts[last:]))
    return ReadStack(text, stack, former.keys, ModelLines(lines.column, (*starts[:first], *moved)))


def _common(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
