"""The order of a rollout, from what Envoy finds in its file of clusters each time it is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from corral.local.admin import Admin
from corral.local.envoy.configuration import Configuration
from corral.local.envoy.names import CLUSTERS_VERSION, Files
from corral.local.rollout import Rollout

OLD = Configuration(clusters={"gone": '"gone"', "moved": '"moved, before"'}, listeners={}, upstreams={}, routes={})
NEW = replace(OLD, clusters={"moved": '"moved, after"', "come": '"come"'})


class TakesAll:
    """An Envoy that takes everything at once, and has nothing to finish."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.found: list[set[str]] = []
        """The clusters that were to come into force."""

    def look(self) -> set[str]:
        return set(json.loads(self._files.clusters.read_text())["resources"])

    async def in_force(self, wanted: Mapping[str, str]) -> None:
        if CLUSTERS_VERSION in wanted:
            self.found.append(self.look())

    async def gauges(self, pattern: str) -> dict[str, Any]:
        assert pattern
        return {}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def rolled_out(files: Files, *configurations: Configuration) -> list[set[str]]:
    """What Envoy found each time, and in the end."""
    envoy = TakesAll(files)
    rollout = Rollout(files, cast("Admin", envoy))
    rollout.write_all(configurations[0], {})
    for configuration in configurations[1:]:
        await rollout.apply(configuration, {}, 1)
        await rollout.drained()
    return [*envoy.found, envoy.look()]


def test_what_is_new_is_there_before_anything_moves_and_what_is_gone_goes_last(files: Files) -> None:
    assert asyncio.run(rolled_out(files, OLD, NEW)) == [
        {"gone", "moved, before", "come"},
        {"gone", "moved, after", "come"},
        {"moved, after", "come"},
    ]


def test_a_configuration_that_has_not_changed_gives_envoy_nothing_to_read(files: Files) -> None:
    rollout = Rollout(files, cast("Admin", TakesAll(files)))
    first, inode = rollout.write_all(OLD, {}), files.clusters.stat().st_ino
    assert (rollout.write_all(OLD, {}), files.clusters.stat().st_ino) == (first, inode)
