"""Which tests start a process: they are marked by themselves, and one that is not marked may start none.

A test starts one where its function, a fixture of it, or whatever of the tests or of Corral these name (and that names,
and so on) names `subprocess` or Playwright.  What is reached in another way is marked by hand: `pytest.mark.process`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

_STARTING = ("subprocess.Popen", "os.fork", "os.posix_spawn")
"""Audit events of CPython."""

_forbidden: list[str] = []
"""The test that runs now, if it may start none."""


def _audit(event: str, _: object) -> None:
    if event in _STARTING and _forbidden:
        raise AssertionError(f"{_forbidden[0]} starts a process: mark it, pytest.mark.process")


sys.addaudithook(_audit)


@contextmanager
def forbidden_unless_marked(item: pytest.Item) -> Iterator[None]:
    """While a test runs that is not marked, starting a process is an error."""
    _forbidden[:] = [] if item.get_closest_marker("process") else [item.nodeid]
    yield
    _forbidden.clear()


class ProcessTests:
    """Tells which tests start a process; remembers what it has found out of functions and classes."""

    def __init__(self) -> None:
        self._verdicts: dict[int, bool] = {}

    def __contains__(self, item: pytest.Function) -> bool:
        fixtures = item._fixtureinfo.name2fixturedefs.values()  # pyright: ignore[reportPrivateUsage]
        return any(map(self._starts, (item.function, *(each[-1].func for each in fixtures))))

    def _starts(self, thing: Any) -> bool:
        module = str(getattr(thing, "__module__", ""))
        if thing is subprocess or thing is asyncio.create_subprocess_exec or module.startswith("playwright."):
            return True
        if not module.startswith(("tests.", "corral.")):
            return False
        if id(thing) not in self._verdicts:
            self._verdicts[id(thing)] = False  # for what names itself
            self._verdicts[id(thing)] = any(map(self._starts, _named(thing)))
        return self._verdicts[id(thing)]


def _named(thing: Any) -> Iterator[Any]:
    """What a function names of its module, and of modules that this has imported; for a class, what its members are."""
    thing = getattr(thing, "__wrapped__", thing)
    if isinstance(thing, type):
        members = (*vars(thing).values(), *thing.__bases__)
        yield from (getattr(member, "fget", None) or getattr(member, "__func__", member) for member in members)
    elif isinstance(thing, FunctionType):
        names = set(_names(thing.__code__))
        for value in (thing.__globals__[name] for name in names & thing.__globals__.keys()):
            yield value
            if isinstance(value, ModuleType) and value.__name__.startswith(("asyncio", "tests.", "corral.")):
                yield from (vars(value)[name] for name in names & vars(value).keys())


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
