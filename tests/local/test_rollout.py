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
from corral.local.envoy.configuration import Configuration, Secrets
from corral.local.envoy.names import CLUSTERS_VERSION, Files, active_requests
from corral.local.envoy.upstream import Upstream
from corral.local.rollout import Rollout


def clusters(**names: str) -> dict[str, Any]:
    return {name: {"name": name, "as": text} for name, text in names.items()}


OLD = Configuration(clusters=clusters(gone="", moved="before"), listener={}, key_files={}, routes={})
NEW = replace(OLD, clusters=clusters(moved="after", come=""))


class TakesAll:
    """An Envoy that takes everything at once, and has nothing to finish."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.found: list[set[str]] = []
        """The clusters that were to come into force."""

    def look(self) -> set[str]:
        found = json.loads(self._files.clusters.read_text())["resources"]
        return {f"{each['name']} {each['as']}".strip() for each in found}

    async def in_force(self, wanted: Mapping[str, str]) -> None:
        if CLUSTERS_VERSION in wanted:
            self.found.append(self.look())

    async def gauges(self, pattern: str) -> dict[str, Any]:
        assert pattern
        return {}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.secrets.mkdir()
    return files


async def rolled_out(files: Files, *configurations: Configuration) -> list[set[str]]:
    """What Envoy found each time, and in the end."""
    envoy = TakesAll(files)
    rollout = Rollout(files, cast("Admin", envoy))
    rollout.write_all(configurations[0], Secrets({}))
    for configuration in configurations[1:]:
        await rollout.apply(configuration, Secrets({}), 1)
        await rollout.drained()
    return [*envoy.found, envoy.look()]


def test_what_is_new_is_there_before_anything_moves_and_what_is_gone_goes_last(files: Files) -> None:
    assert asyncio.run(rolled_out(files, OLD, NEW)) == [
        {"gone", "moved after", "come"},
        {"moved after", "come"},
    ]


class ComesLate(TakesAll):
    """A request that began with the former plan comes to its host when that was idle for a moment."""

    readings = 0

    async def gauges(self, pattern: str) -> dict[str, Any]:
        assert pattern
        self.readings += 1
        if self.readings != 2:
            return {}
        self.found.append(self.look())
        return {active_requests("gone"): 1}


def test_a_host_that_is_idle_for_a_moment_is_still_there_for_who_comes_late(files: Files) -> None:
    async def changed() -> list[set[str]]:
        envoy = ComesLate(files)
        rollout = Rollout(files, cast("Admin", envoy))
        rollout.write_all(OLD, Secrets({}))
        await rollout.apply(NEW, Secrets({}), 60)
        await rollout.drained()
        return [*envoy.found, envoy.look()]

    with_both = {"gone", "moved after", "come"}
    assert asyncio.run(changed()) == [with_both, with_both, {"moved after", "come"}]


def test_a_configuration_that_has_not_changed_gives_envoy_nothing_to_read(files: Files) -> None:
    rollout = Rollout(files, cast("Admin", TakesAll(files)))
    first, inode = rollout.write_all(OLD, Secrets({})), files.clusters.stat().st_ino
    assert (rollout.write_all(OLD, Secrets({})), files.clusters.stat().st_ino) == (first, inode)


def test_another_key_of_a_host_has_a_file_of_its_own_and_the_former_one_goes(files: Files) -> None:
    lab, other = (Upstream(name, f"http://{name}", "authorization", None).name for name in ("lab", "other"))

    def keys() -> set[str]:
        return {file.read_text() for file in files.secrets.iterdir()}

    def having(secrets: dict[str, str]) -> tuple[Configuration, Secrets]:
        return replace(OLD, key_files={name: files.key(name, key) for name, key in secrets.items()}), Secrets(secrets)

    async def changed() -> None:
        rollout = Rollout(files, cast("Admin", TakesAll(files)))
        rollout.write_all(*having({lab: "one", other: "its own"}))
        assert keys() == {"one", "its own"}
        await rollout.apply(*having({lab: "two", other: "its own"}), 1)
        assert keys() == {"one", "two", "its own"}
        await rollout.drained()
        assert keys() == {"two", "its own"}
        await rollout.apply(*having({lab: "two"}), 1)
        await rollout.drained()

    asyncio.run(changed())
    assert [file.read_text() for file in files.secrets.iterdir()] == ["two"]
    assert {file.stat().st_mode & 0o777 for file in files.secrets.iterdir()} == {0o600}


def test_another_plan_has_a_file_of_its_own_and_the_former_one_goes(files: Files) -> None:
    def knowing(text: str) -> Configuration:
        return replace(OLD, plan_files={files.plan(text): text})

    async def changed() -> list[set[str]]:
        rollout = Rollout(files, cast("Admin", TakesAll(files)))
        rollout.write_all(knowing("one"), Secrets({}))
        await rollout.apply(knowing("two"), Secrets({}), 1)
        both = {file.read_text() for file in files.plans}
        await rollout.drained()
        return [both, {file.read_text() for file in files.plans}]

    assert asyncio.run(changed()) == [{"one", "two"}, {"two"}]
