"""What a test may do: start a process only where it is marked so, and read `stacks/` only in `test_stacks.py`.

Tests that start a process are marked by themselves.
A test starts one where its function, a fixture of it, or whatever of the tests or of Corral these name (and that names,
and so on) names `subprocess`, or where it is marked as one that needs a program.  What is reached in another way is
marked by hand: `pytest.mark.process`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

_STARTING = ("subprocess.Popen", "os.fork", "os.posix_spawn")
"""Audit events of CPython."""

_STACKS = str(Path(__file__).parents[1] / "stacks" / "Pulumi.")
"""How the paths of an operator's stack files begin; an edit may fail the tests of stacks, never the product's."""

_PROGRAMS = ("apiserver", "browser", "engine")
"""Markers."""

_running: list[pytest.Item] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    for item in _running:
        if event in _STARTING and not item.get_closest_marker("process"):
            raise AssertionError(f"{item.nodeid} starts a process: mark it, pytest.mark.process")
        if event == "open" and str(arguments[0]).startswith(_STACKS) and item.path.name != "test_stacks.py":
            raise AssertionError(f"{item.nodeid} reads {arguments[0]}: use one of tests/stacks/examples")


sys.addaudithook(_audit)


@contextmanager
def audited(item: pytest.Item) -> Iterator[None]:
    """While the test runs, doing what it may not do is an error."""
    _running.append(item)
    yield
    _running.clear()


class ProcessTests:
    """Tells which tests start a process; remembers what it has found out of functions and classes."""

    def __init__(self) -> None:
        self._verdicts: dict[int, bool] = {}

    def __contains__(self, item: pytest.Function) -> bool:
        if any(item.get_closest_marker(name) for name in _PROGRAMS):
            return True
        fixtures = item._fixtureinfo.name2fixturedefs.values()  # pyright: ignore[reportPrivateUsage]
        return any(map(self._starts, (item.function, *(each[-1].func for each in fixtures))))

    def _starts(self, thing: Any) -> bool:
        module = str(getattr(thing, "__module__", ""))
        if thing is subprocess or thing is asyncio.create_subprocess_exec:
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
