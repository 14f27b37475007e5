"""What was cut off, and the commands of docs/day-2.md with which it goes on."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corral.config.cluster import Versions
from corral.gateway.charts import Charts
from tests.pulumi_engine.history import History
from tests.pulumi_engine.project import FailedError, Project
from tests.pulumi_engine.stacks import HOSTED

pytestmark = pytest.mark.engine

_PATIENCE_SECONDS = 600
_POLL_SECONDS = 0.1

_ADOPTION = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true"

_RELEASE = {"kind": "Release", "name": "gateway-software-cert-manager"}
_DEFINITION = {
    "kind": "CustomResourceDefinition",
    "name": f"gateway-software-gateway-definitions:{Charts.of(Versions()).definitions.archive}",
}


def cut_off(project: Project, during: dict[str, str], by: signal.Signals) -> str:
    """Begins `pulumi up`, ends it while this resource is being made, and returns what it wrote."""
    project.store.set_faults([{"what": "hang", **during}])
    before = project.history()
    command = [program(project), "up", "--yes", "--non-interactive", "--stack", project.stack]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        until(lambda: is_under_way(project, before, during))
        running.send_signal(by)
        if by != signal.SIGKILL:  # then it waits for what it has begun
            project.store.set_faults([])
        text, _ = running.communicate(timeout=_PATIENCE_SECONDS)
        assert running.returncode != 0
    project.store.set_faults([])
    for file in project.state.rglob("*.json.attrs"):  # one that was cut off, too
        if not file.stat().st_size:
            file.unlink()
    return text


def program(project: Project) -> str:
    return shutil.which("pulumi", path=project.environment["PATH"]) or "pulumi"


def is_under_way(project: Project, before: History, during: dict[str, str]) -> bool:
    """Whether it is there at the provider, which does not say so."""
    which = (during["kind"], during["name"])
    begun = any((event.kind, event.name) == which for event in project.history().since(before).events)
    return begun and any((thing.kind, thing.name) == which for thing in project.things())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(_POLL_SECONDS)


def pulumi(project: Project, *arguments: str) -> None:
    command = [program(project), *arguments, "--yes", "--non-interactive", "--stack", project.stack]
    subprocess.run(command, cwd=project.folder, env=project.environment, check=True, capture_output=True)


def everything_is_up(project: Project) -> bool:
    return project.up().changes == {"same": len(project.managed())}


@pytest.mark.parametrize("during", [_RELEASE, _DEFINITION], ids=lambda during: during["kind"])
def test_a_first_up_that_was_killed_goes_on_with_the_commands_that_it_names(
    during: dict[str, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one thing may have been under way, so that the commands come one after the other."""
    project = Project.make(tmp_path / "project", "kind", home)
    cut_off(project, during, signal.SIGKILL)

    with pytest.raises(FailedError, match="the stack is currently locked"):
        project.up()
    pulumi(project, "cancel")
    texts: list[str] = []
    until(lambda: texts.append(refusal(project)) or f"{_ADOPTION} pulumi up -s kind" in texts[-1])
    assert ("cannot re-use a name" if during == _RELEASE else "already exists") in texts[0]
    assert [text for text in texts if "Traceback" in text] == []

    releases = take_away_what_helm_left(project, texts[0])
    with monkeypatch.context() as adopting:
        adopting.setenv(*_ADOPTION.split("="))
        releases += go_on(Project(project.folder, project.stack, home))
    assert ("cert-manager/cert-manager" in releases) == (during == _RELEASE)
    project = Project(project.folder, project.stack, home)
    assert project.up().changes == {"same": len(project.managed()) - 1, "update": 1}
    assert everything_is_up(project)


def refusal(project: Project) -> str:
    """What the next `up` says.  An engine that ends the program first leaves it no time for its own last words."""
    with pytest.raises(FailedError) as failed:
        project.up()
    return failed.value.text


def go_on(project: Project) -> list[str]:
    """Runs `pulumi up` until it is done, and each time the commands that it names; the releases taken away."""
    releases: list[str] = []
    while True:
        try:
            project.up()
        except FailedError as failed:
            if not (taken := take_away_what_helm_left(project, failed.text)):
                raise
            releases += taken
        else:
            return releases


def take_away_what_helm_left(project: Project, text: str) -> list[str]:
    """Does what the commands in the text do."""
    command = r"kubectl -n (\S+) delete secret -l 'owner=helm,name=([^',]+)'"
    releases = [f"{namespace}/{name}" for namespace, name in sorted(set(re.findall(command, text)))]
    for release in releases:
        project.store.remove("kubernetes", "kubernetes:helm.sh/v3:Release", release)
    return releases


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_an_up_that_was_cut_off_while_hosts_were_swapped_goes_on_with_the_next(
    by: signal.Signals, project: Callable[[str], Project]
) -> None:
    there = project(HOSTED.stack)
    there.edit(HOSTED.edit)
    text = cut_off(there, {"kind": "EnvoyPatchPolicy", "name": f"gateway-succession/{HOSTED.model}"}, by)
    assert "Traceback" not in text

    if by == signal.SIGKILL:
        pulumi(there, "cancel")
    there.up()
    assert everything_is_up(there)
    assert not any(thing.name.startswith(f"gateway-service/{HOSTED.leaves}/") for thing in there.things())
