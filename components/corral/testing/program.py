"""Runs a program on the mocks, apart from everything else in this process.

The project's own program, run on the mocks for one version of a stack file.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import stack as pulumi_stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import Settings, configure

from corral import deploy
from corral.config.problems import SECRET_PLACES, SECRETS, TENANT_SECRETS, Report
from corral.config.stack import Secret, Stack
from corral.config.stack_file import read_config
from corral.hosts.keys import missing_keys
from corral.plan.plan import Plan
from corral.testing.mock_outputs import ANSWERS, Answers
from corral.testing.monitor import RecordingMonitor
from corral.testing.recording import NO_RESOURCES, Recording

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


def run_program(file: Path, stack: Stack, plan: Plan) -> Recording:
    """What the program registers for the stack that was read from `file`.

    Keys stay encrypted: what stands in for one is made of its cipher text, and another cipher text is another key.  On
    an engine that is no cluster nothing is provisioned.  Raises `pulumi.RunError` where the program refuses the stack.
    """
    if plan.engine == "local":
        return NO_RESOURCES
    said = read_config(file, Report(str(file)))
    config = {key: value for key, value in said.items() if value is not None and key not in SECRET_PLACES}
    return record(
        lambda: deploy(file),
        stack=stack.name,
        config=config | {SECRETS: _stand_ins(stack, plan), TENANT_SECRETS: _tenants_stand_ins(stack)},
        secret_keys=SECRET_PLACES,
        preview=True,
    )


def _stand_ins(stack: Stack, plan: Plan) -> dict[str, Any]:
    """Per host a key; also where the stack has none yet, so that it can be looked at before it is set."""
    encrypted = {host: _stand_in(key) for host, key in stack.keys.items()}
    return dict.fromkeys(missing_keys(plan, stack.keys), "missing") | encrypted


def _tenants_stand_ins(stack: Stack) -> dict[str, Any]:
    """Per tenant a key, or a list of them."""
    return {
        tenant: [*map(_stand_in, keys)] if isinstance(keys, list) else _stand_in(keys)
        for tenant, keys in stack.tenant_keys.items()
    }


def _stand_in(key: Secret) -> str:
    return sha256(key.secure.encode()).hexdigest()
