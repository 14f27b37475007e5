"""`pulumi up` ends when what is new is served; a share edit and a preview wait for nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.pulumi_engine.project import Project
from tests.pulumi_engine.stacks import move_share

pytestmark = pytest.mark.engine

_READ = "gateway-envoys/0"
"""The first reading of the Deployment of the Envoys."""

_ASKED = "the gateway cannot be asked from here"
"""There is no such gateway."""


def _add_a_model(config: dict[str, Any]) -> None:
    config["corral:gateway"]["handover"] = "1ms"
    config["corral:hosts"]["deepinfra"] = {"models": {"house-model": "house/model"}}
    config["corral:models"]["house-model"] = {"shares": {"deepinfra": 100}}


def test_only_a_new_gateway_and_a_new_model_are_waited_for(project: Callable[[str], Project]) -> None:
    there = project("kind")
    assert _READ in _read(there)

    there.edit(move_share("llama-3.3-70b"))
    previewed, moved = there.preview(), there.up()

    assert (previewed.changes["update"], moved.changes["update"]) == (1, 1)
    assert [text for text in (previewed.text, moved.text) if _ASKED in text] == []
    assert _READ not in _read(there)

    there.edit(_add_a_model)
    previewed, added = there.preview(), there.up()

    assert _ASKED not in previewed.text
    assert f"{_ASKED} (" in added.text
    assert "so it was given 1 ms to get to know of house-model; where it can, `corral smoke -s kind`" in added.text
    assert _READ not in _read(there)


def _read(project: Project) -> set[str]:
    """The names of what the last `pulumi up` only read."""
    return {each["urn"].rpartition("::")[2] for each in project.resources() if each.get("external")}
