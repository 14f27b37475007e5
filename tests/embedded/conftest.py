from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder for a project of the test's own."""
    return tmp_path / "project"
