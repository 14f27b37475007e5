"""The lock file of prices, `prices.lock.yaml` beside the stack files: how it is read, and how it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from corral.catalog.prices import PriceList
from corral.catalog.units import Strict
from corral.config.problems import Report, Value
from corral.config.stack import Stack
from corral.config.stack_file import text_of
from corral.config.validation import report_problems
from corral.config.yaml_tree import NotYamlError, parse, value_of

FILE = "prices.lock.yaml"

_HEAD = """\
# What tokens and GPU nodes cost, in dollars: every sum reads this file and nothing else.
#
#   corral prices lock       adds what is missing
#   corral prices refresh    brings it up to date, and says what that does to each stack
#
# Neither changes an entry whose source begins otherwise than with `genai-prices` or `catalog`: that one is yours.
"""

_TOKENS = "tokens: # for a million of them: by kind of host, and its id of the model\n"
_HOURS = "hours: # of a GPU node: by region, and instance type; as bought: onDemand, spot, reserved\n"


def read_prices(folder: Path) -> PriceList | None:
    """The prices in the folder; None: there is no such file.  Raises ConfigError with every mistake in it."""
    file = folder / FILE
    if not file.exists():
        return None
    report = Report(str(file))
    try:
        root = parse(text_of(file, report))
    except NotYamlError as error:
        raise report.stop((), error.message, error.mark) from None
    report.root = root
    values = value_of(root, (), report) if root else {}
    if not isinstance(values, dict):
        raise report.stop((), "must be a mapping with `tokens` and `hours`", root and root.mark)
    if not report.problems():
        try:
            return PriceList.model_validate(values, by_alias=True, by_name=False)
        except ValidationError as error:
            report_problems(error, PriceList, report)
    raise report.stop()


def named_ids(stack: Stack) -> set[tuple[str, str]]:
    """The ids that the stack itself gives models, each with its host's kind."""
    return {
        (host.kind, model_id)
        for host in stack.hosts.values()
        for given in host.models.values()
        if (model_id := given if isinstance(given, str) else given.id)
    }


def written(prices: PriceList) -> str:
    """The text of the file; an entry a line, in order of name."""
    return "".join((_HEAD, _TOKENS, *_part(prices.tokens), _HOURS, *_part(prices.hours)))


def _part(part: Mapping[str, Mapping[str, Strict]]) -> Iterator[str]:
    for name, entries in sorted(part.items()):
        yield f"  {_key(name)}:\n"
        yield from (f"    {_key(key)}: {_entry(entry)}\n" for key, entry in sorted(entries.items()))


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_:-]*[A-Za-z0-9]")
"""A text that needs no quotes in YAML, unless it is a word for something else."""


_WORDS = ("yes", "no", "on", "off", "true", "false", "null")


def _key(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _text(text)


def _entry(entry: Strict) -> str:
    fields: dict[str, Value] = {}
    for name, field in type(entry).model_fields.items():
        value = getattr(entry, name)
        if isinstance(value, int):
            fields[field.alias or name] = _dollars(value)
        elif value is not None:
            fields[field.alias or name] = _text(str(value)) if name == "source" else str(value)
    return f"{{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}"


def _dollars(micro: int) -> str:
    whole, rest = divmod(micro, 10**6)
    return f"{whole}.{f'{rest:06}'.rstrip('0')}" if rest else str(whole)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
