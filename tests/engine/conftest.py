"""A real engine, with stand-ins for the providers in a folder for plugins of its own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from tests.engine.project import ROOT, Project, nobody
from tests.engine.stacks import Swap, Swapped
from tests.engine.stand_ins.serve import WORLDS

_SDKS = {name: f"pulumi_{name.replace('-', '_')}" for name in WORLDS}

_PLUGIN = """#!{python}
import sys

sys.path.insert(0, {root!r})
from tests.engine.stand_ins.serve import serve

serve({name!r}, {version!r})
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pulumi's own folder.  Skips where no engine is on PATH."""
    for program in ("pulumi", "pulumi-language-python"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH")
    folder = tmp_path_factory.mktemp("pulumi-home")
    for name, sdk in _SDKS.items():
        version = json.loads(files(sdk).joinpath("pulumi-plugin.json").read_text())["version"]
        plugin = folder / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        plugin.parent.mkdir(parents=True)
        plugin.write_text(_PLUGIN.format(python=sys.executable, root=str(ROOT), name=name, version=version))
        plugin.chmod(0o755)
    with nobody():
        yield folder


@pytest.fixture(scope="session")
def deployed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    """Per stack a project on which `pulumi up` was done once; to be copied, not to be changed."""

    @cache
    def deployed_once(stack: str) -> Project:
        project = Project.make(tmp_path_factory.mktemp(stack) / "project", stack, home)
        project.up()
        return project

    return deployed_once


@pytest.fixture
def project(deployed: Callable[[str], Project], tmp_path: Path) -> Callable[[str], Project]:
    """Per stack a project of the test's own, on which `pulumi up` was done."""
    return lambda stack: deployed(stack).copy(tmp_path / stack)


@pytest.fixture(scope="session")
def swapped(deployed: Callable[[str], Project], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Swap], Swapped]:
    """Per swap a project on which it was done once; to be looked at, not to be changed."""

    @cache
    def swapped_once(swap: Swap) -> Swapped:
        before = deployed(swap.stack)
        project = before.copy(tmp_path_factory.mktemp(swap.comes) / "project")
        project.edit(swap.edit)
        return Swapped(before, project, project.up())

    return swapped_once
