"""What stands under each attribute of a part of the configuration: the text that says what it means.

Python keeps no such text, so it is read from the source.  Pydantic would do it for every class at every start, where it
takes longer than all else about them; only the schema has use for it.
"""

from __future__ import annotations

import ast
from inspect import cleandoc, getsource
from itertools import pairwise
from typing import cast

from components.config.types import Strict


def docstrings(part: type[Strict]) -> dict[str, str]:
    """Per attribute its text; what the part inherits comes first."""
    lineage = [each for each in reversed(part.__mro__) if issubclass(each, Strict)]
    return {name: text for each in lineage for name, text in _own(each).items()}


def _own(part: type[Strict]) -> dict[str, str]:
    definition = cast("ast.ClassDef", ast.parse(getsource(part)).body[0])
    found: dict[str, str] = {}
    for statement, below in pairwise(definition.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                found[name] = cleandoc(text)
            case _:
                pass
    return found
