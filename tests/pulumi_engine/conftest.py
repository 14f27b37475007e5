"""A real engine, and stacks on which it has done its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.built_programs import UnavailableError
from tests.pulumi_engine.home import answering, furnish
from tests.pulumi_engine.project import Project, nobody
from tests.pulumi_engine.stacks import Swap, Swapped


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pulumi's own folder.  Skips where there is no engine and none can be built."""
    folder = tmp_path_factory.mktemp("pulumi") / "home"
    try:
        furnish(folder)
    except UnavailableError as why:
        pytest.skip(str(why))
    with nobody(), answering(folder):
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
