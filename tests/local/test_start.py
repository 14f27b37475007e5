"""What a start reads, up to where it is refused: before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from corral.cli.project import load_servable
from corral.local.errors import EngineError
from corral.local.session import Options, serving
from corral.local.source import Source
from corral.plan.checks.run import CheckedStack
from tests.local.gateway import TWO_HOSTS, Gateway


def test_the_stack_file_is_read_once_at_the_start(project: Path):
    file = Gateway(project, "test").file
    file.parent.mkdir(parents=True)
    Gateway(project, "test").save(TWO_HOSTS)
    loads: list[CheckedStack] = []

    def load() -> CheckedStack:
        loads.append(load_servable(file))
        return loads[-1]

    async def start() -> None:
        source = Source(project, file, load, {})
        async with serving(source, Options(address="0.0.0.0", port=0), pytest.fail):
            pass

    with pytest.raises(EngineError, match=r"At 0\.0\.0\.0 other machines could call"):
        asyncio.run(start())
    assert len(loads) == 1
