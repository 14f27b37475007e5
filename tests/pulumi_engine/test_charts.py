from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corral.config.cluster import Versions
from corral.gateway.archives import FOLDER, SUMS
from corral.gateway.charts import Charts
from tests.gateway.registry import AUTHORITY, OciRegistry, served
from tests.pulumi_engine.project import FailedError, Project
from tests.pulumi_engine.stacks import HOSTED

pytestmark = pytest.mark.engine

ALL = Charts.of(Versions())
CHARTS = (ALL.definitions, ALL.envoy_gateway, ALL.ai_definitions, ALL.ai_gateway, ALL.cert_manager)


@pytest.fixture
def new(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("NO_PROXY", "*")
    return Project.make(tmp_path / "project", HOSTED.stack, home)


def test_charts_are_pulled_by_the_first_preview_and_never_again(new: Project) -> None:
    folder = new.file.parent / FOLDER
    AUTHORITY.cert_pem.write_to_path(str(new.file.parent / "ca.pem"))
    with served(OciRegistry()) as registry:
        for chart in CHARTS:
            registry.archives[chart.repository.partition("/")[2], chart.version] = chart.name.encode()
        new.edit(lambda config: config.update({"corral:registry": {"mirror": registry.address, "ca": "ca.pem"}}))
        shutil.rmtree(folder)

        first = new.preview()
        registry.requests.clear()
        up = new.up()

    warning = f"pulled {', '.join(chart.archive for chart in CHARTS)} into charts/"
    assert (warning in first.text, "pulled" in up.text, registry.requests) == (True, False, [])
    assert {file.name for file in folder.iterdir()} == {SUMS, *(chart.archive for chart in CHARTS)}


def test_a_chart_that_is_not_what_was_recorded_is_refused_before_anything_is_made(new: Project) -> None:
    (new.file.parent / FOLDER / ALL.envoy_gateway.archive).write_bytes(b"another")

    with pytest.raises(FailedError) as failed:
        new.up()

    assert "gateway-helm-v1.8.3.tgz (sha256 " in failed.value.text
    assert "Traceback" not in failed.value.text
    assert new.things() == []
