"""The gateway of a drill, made by a real engine, which knows nothing of the team's state."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from corral.gateway.drill import DrillDeployment, DrillError
from corral.testing import NEVER
from tests.gateway.test_drill import ARGS, WHOLE
from tests.pulumi_engine.project import Project
from tests.pulumi_engine.stand_ins.store import Store

pytestmark = pytest.mark.engine


@pytest.fixture
def store(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """What is there at the providers, for an engine that has a state of the team's elsewhere."""
    project = Project(tmp_path, "team", home)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.state.mkdir()
    return project.store


def deploy(folder: Path) -> None:
    """In a process of its own: Pulumi's SDK (3.272) leaves the program's event loop open where an update fails, which
    would end as a warning of whichever test comes later.
    """
    folder.mkdir()
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        processes.submit(DrillDeployment(ARGS, WHOLE, folder).up, WHOLE).result()


def test_a_drill_is_made_with_a_state_of_its_own(store: Store, tmp_path: Path):
    folder = tmp_path / "drill"
    deploy(folder)
    assert {"Namespace", "Pod", "Gateway", "AIGatewayRoute"} <= {thing.kind for thing in store.things()}
    assert "Release" not in {thing.kind for thing in store.things()}

    assert list((tmp_path / "state").iterdir()) == [], "the team's state is as it was"
    written = [file for file in folder.rglob("*") if file.is_file()]
    assert written
    assert [file for file in written if NEVER.encode() in file.read_bytes()] == [], "no secret is in plain text"


def test_what_the_engine_says_is_wrong_is_said_without_the_rest(store: Store, tmp_path: Path):
    store.set_faults([{"what": "create", "kind": "Gateway", "name": "gateway-gateway"}])
    with pytest.raises(DrillError) as failed:
        deploy(tmp_path / "drill")
    lines = str(failed.value).splitlines()
    assert lines[0] == "pulumi up did not end well:"
    assert all(line.startswith("error:") for line in lines[1:])
    assert NEVER not in str(failed.value)
