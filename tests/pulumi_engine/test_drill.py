"""The gateway of a drill, made by a real engine, which knows nothing of the team's state."""

from __future__ import annotations

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


def test_a_drill_is_made_with_a_state_of_its_own(store: Store, tmp_path: Path):
    folder = tmp_path / "drill"
    folder.mkdir()
    DrillDeployment(ARGS, WHOLE, folder).up(WHOLE)
    assert {"Namespace", "Pod", "Gateway", "AIGatewayRoute"} <= {thing.kind for thing in store.things()}
    assert "Release" not in {thing.kind for thing in store.things()}

    assert list((tmp_path / "state").iterdir()) == [], "the team's state is as it was"
    written = [file for file in folder.rglob("*") if file.is_file()]
    assert written
    assert [file for file in written if NEVER.encode() in file.read_bytes()] == [], "no secret is in plain text"


def test_what_the_engine_says_is_wrong_is_said_without_the_rest(store: Store, tmp_path: Path):
    store.set_faults([{"what": "create", "kind": "Gateway", "name": "gateway-gateway"}])
    folder = tmp_path / "drill"
    folder.mkdir()
    with pytest.raises(DrillError) as failed:
        DrillDeployment(ARGS, WHOLE, folder).up(WHOLE)
    lines = str(failed.value).splitlines()
    assert lines[0] == "pulumi up did not end well:"
    assert all(line.startswith("error:") for line in lines[1:])
    assert NEVER not in str(failed.value)
