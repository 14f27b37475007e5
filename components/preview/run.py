"""Runs a program on the mocks, apart from everything else in this process."""

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

from components.preview.made_up import ANSWERS, Answers
from components.preview.monitor import RecordingMonitor
from components.preview.recording import Recording

PROJECT = "corral"


def record(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, Any] | None = None,
    secret_keys: Collection[str] = (),
    answers: Answers = ANSWERS,
    preview: bool = False,
) -> Recording:
    """What the program registers, once everything it started has come to its end.

    `config` maps full keys (`corral:hosts`) to plain data, of which `secret_keys` are secret; `preview` is what
    `pulumi.runtime.is_dry_run()` says.  Whatever the program raises is raised.
    """
    return contextvars.Context().run(_record, program, stack, config or {}, secret_keys, answers, preview)


def _record(
    program: Callable[[], object],
    stack: str,
    config: Mapping[str, Any],
    secret_keys: Collection[str],
    answers: Answers,
    preview: bool,
) -> Recording:
    monitor = RecordingMonitor(answers)
    messages: list[tuple[str, str]] = []
    log = logging.Logger("program", logging.INFO)
    log.addHandler(_Keeping(messages))
    set_all_config({key: _as_text(value) for key, value in config.items()}, [*secret_keys])
    asyncio.run(_run(program, monitor, stack, log, preview))
    return monitor.recording(tuple(messages))


async def _run(
    program: Callable[[], object], monitor: RecordingMonitor, stack: str, log: logging.Logger, preview: bool
) -> None:
    configure(Settings(PROJECT, stack, monitor=monitor, engine=MockEngine(log), dry_run=preview))

    def observed() -> None:
        pulumi.runtime.register_stack_transformation(monitor.observe)
        program()

    await pulumi_stack.run_in_stack(observed)


class _Keeping(logging.Handler):
    def __init__(self, messages: list[tuple[str, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.levelname.lower(), record.getMessage()))


def _as_text(value: Any) -> str:
    """As Pulumi hands a program its configuration: text as it is, everything else as JSON with sorted keys."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
