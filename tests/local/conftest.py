"""A project, a folder for temporary files, and a gateway of the test's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.gateway import TWO_HOSTS, Gateway, processes, serving


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder for a project of the test's own."""
    return tmp_path / "project"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of this test's own, with a path short enough for a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="c-"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def gateway(project: Path, machine: Path) -> Iterator[Gateway]:
    with serving(project, TWO_HOSTS) as gateway:
        yield gateway
    assert processes(machine) == []
