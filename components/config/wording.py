"""How values are written in messages: always short, always on one line."""

from __future__ import annotations

import json
from typing import Any, cast


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
    """What sort of value it is, in a person's words."""
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


def flow(value: object) -> str:
    """An example as one would type it: `{bedrock: 60, vllm: 40}`."""
    match value:
        case dict():
            entries = cast("dict[str, Any]", value).items()
            return f"{{{', '.join(f'{key}: {flow(below)}' for key, below in entries)}}}"
        case list():
            return f"[{', '.join(flow(item) for item in cast('list[Any]', value))}]"
        case _:
            return str(value)
