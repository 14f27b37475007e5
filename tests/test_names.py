"""Identifiers are the field's terms: what can be looked up in the documents of Envoy, Kubernetes, IAM or Prometheus."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "components" / "corral"

NO_TERMS = {"said", "told", "asked", "look", "beside", "door", "lane", "room", "pace", "off", "found", "word"}
"""They can stand for anything, so that a reader must ask what, and a search finds nothing."""


def named(tree: ast.AST) -> Iterator[str]:
    """Every name that the code gives to something."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.alias(asname=str(name)):
                yield name
            case _:
                pass


def parts(name: str) -> set[str]:
    """`_ToldPulumi`, `told_pulumi` → told, pulumi.  Back-off is a term of its own."""
    return {
        part.lower()
        for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name.replace("BACK_OFF", "").replace("back_off", ""))
    }


_TOKEN_OF_C = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|(?P<name>[A-Za-z_]\w*)')


def test_nor_is_one_of_the_module_s():
    sources = [*PACKAGE.rglob("*.c"), *PACKAGE.rglob("*.h")]
    assert sources
    offending = {
        (path.name, token["name"])
        for path in sources
        for token in _TOKEN_OF_C.finditer(path.read_text(encoding="utf-8"))
        if token["name"] and parts(token["name"]) & {*NO_TERMS, "seen"}
    }
    assert offending == set()


def test_no_identifier_is_a_word_that_can_stand_for_anything():
    offending = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in named(ast.parse(path.read_text(encoding="utf-8")))
        if parts(name) & NO_TERMS or "made_up" in name
    }
    assert offending == set()
