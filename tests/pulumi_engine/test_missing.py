"""One host that cannot be had holds back no other: it fails, or hangs and is ready late; the next `up` adds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corral.gateway.names import object_name
from tests.pulumi_engine.project import FailedError, Project
from tests.pulumi_engine.stacks import SERVED

pytestmark = pytest.mark.engine

_MODEL = SERVED.model
_PATIENCE_SECONDS = 300
_AGAIN = "The next `pulumi up -s kind` adds it"


def shared(*, timeout: str = "60s", **shares: int) -> Callable[[dict[str, Any]], None]:
    """The edit by which the hosts of the model share it so, and wait so long for each other."""

    def edit(config: dict[str, Any]) -> None:
        config["corral:gateway"] = {"replicas": {"min": 1, "max": 2}, "handover": "1ms", "hostTimeout": timeout}
        config["corral:models"][_MODEL]["shares"] = shares
        if "lab" in shares:
            config["corral:hosts"]["lab"] = SERVED.declared

    return edit


def weights(project: Project) -> list[dict[str, int]]:
    """Of each route that is there the hosts with their weights."""
    hosts = {object_name(host, _MODEL): host for host in ("deepinfra", "lab", "vllm")}
    return [
        {hosts[ref["name"]]: ref["weight"] for ref in thing.inputs["spec"]["rules"][0]["backendRefs"]}
        for thing in project.things()
        if thing.kind == "AIGatewayRoute"
    ]


def failing(project: Project) -> str:
    """What an `up` writes that does not end well."""
    with pytest.raises(FailedError) as failed:
        project.up()
    assert "Traceback" not in failed.value.text
    return failed.value.text


def nothing_is_left_to_do(project: Project) -> bool:
    return project.up().changes == {"same": len(project.managed())}


def test_a_host_that_fails_is_named_and_left_out_of_a_first_up_drained_without_effect_and_added_by_the_next(
    home: Path, tmp_path: Path
) -> None:
    there = Project.make(tmp_path / "project", "kind", home)
    there.edit(shared(vllm=90, deepinfra=10))
    there.store.set_faults([{"what": "create", "kind": "Deployment"}])

    text = failing(there)
    assert weights(there) == [{"deepinfra": 10}]
    assert "vllm is missing: " in text
    assert f"{_MODEL} is served by deepinfra. `kubectl -n corral-vllm get pods,events`" in text
    assert _AGAIN in text

    there.edit(shared(vllm=0, deepinfra=100))
    assert f"{_AGAIN}" not in failing(there)
    assert {"deepinfra": 100, "vllm": 0} in weights(there)

    there.store.set_faults([])
    there.edit(shared(vllm=90, deepinfra=10))
    there.up()
    assert weights(there) == [{"deepinfra": 10, "vllm": 90}]
    assert nothing_is_left_to_do(there)


def test_a_host_that_hangs_holds_no_share_edit_back_and_is_added_by_the_next_up_once_it_is_ready(
    project: Callable[[str], Project],
) -> None:
    there = project("kind")
    there.edit(shared(vllm=50, deepinfra=20, lab=30, timeout="1s"))
    there.store.set_faults([{"what": "hang", "kind": "Deployment"}])
    ended: list[str] = []
    running = threading.Thread(target=lambda: ended.append(failing(there)))
    running.start()
    until(lambda: weights(there) == [{"deepinfra": 20, "vllm": 50}])
    there.store.set_faults([])  # it gets ready late
    running.join(_PATIENCE_SECONDS)

    (text,) = ended
    assert "lab is missing: it was not ready 1 s after others were" in text
    assert f"{_MODEL} is served by deepinfra and vllm" in text
    assert not [event for event in there.history().events if event.verb == "delete"]

    there.edit(shared(vllm=50, deepinfra=20, lab=30))
    there.up()
    assert weights(there) == [{"deepinfra": 20, "lab": 30, "vllm": 50}]
    assert nothing_is_left_to_do(there)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
