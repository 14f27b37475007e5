"""Runs a Pulumi program on the recording mocks, apart from everything else in this process."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pulumi
from pulumi.runtime import stack as pulumi_stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import Settings, configure

from corral.testing.mock_outputs import INVOKE_RESULTS, InvokeResults
from corral.testing.monitor import RecordingMonitor
from corral.testing.recording import Recording

PROJECT = "corral"

NEVER = "sk-NEVER"
"""A secret of a test begins like this; a world looks for it wherever no secret may stand."""


def record(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, Any] | None = None,
    secret_keys: Collection[str] = ("corral:keys",),
    invoke_results: InvokeResults = INVOKE_RESULTS,
    preview: bool = False,
) -> Recording:
    """What the program registers, once everything it started has come to its end.

    `config` maps full keys (`corral:hosts`) to plain data, of which `secret_keys` are secret; `preview` is what
    `pulumi.runtime.is_dry_run()` returns.  Whatever the program raises is raised.
    """
    monitor = RecordingMonitor(invoke_results)
    messages: list[tuple[str, str]] = []
    log = logging.Logger("program", logging.INFO)
    log.addHandler(_Keeping(messages))

    def observed() -> None:
        pulumi.runtime.register_stack_transformation(monitor.observe)
        program()

    async def running() -> None:
        configure(Settings(PROJECT, stack, monitor=monitor, engine=MockEngine(log), dry_run=preview))
        await pulumi_stack.run_in_stack(observed)

    def run() -> None:
        set_all_config({key: _as_text(value) for key, value in (config or {}).items()}, [*secret_keys])
        asyncio.run(running())

    contextvars.Context().run(run)
    return monitor.recording(tuple(messages))


class _Keeping(logging.Handler):
    def __init__(self, messages: list[tuple[str, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.levelname.lower(), record.getMessage()))


def _as_text(value: Any) -> str:
    """As Pulumi hands a program its configuration: text as it is, everything else as JSON with sorted keys."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
