"""`corral diff` in a git work tree of its own, without a program in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corral.cli.main import app
from corral.config.problems import ConfigError
from corral.repository import NoRevisionError, at_revision

EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"
FILE = "stacks/Pulumi.kind.yaml"


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stacks").mkdir()
    for name in ("Pulumi.kind.yaml", "Pulumi.local.yaml", "Pulumi.staging.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path / "stacks" / name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def edit(project: Path) -> Callable[[str, str], None]:
    def edited(old: str, new: str, file: str = FILE) -> None:
        text = (project / file).read_text()
        assert old in text
        (project / file).write_text(text.replace(old, new))

    return edited


def diff(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["diff", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


ROUTE = "kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute"


@pytest.mark.usefixtures("project")
def test_nothing_differs():
    assert diff("--stack", "kind") == (
        0,
        f"HEAD:{FILE} → {FILE}\n\nNo traffic moves.\n\nNo resource changes.\n",
    )


def test_an_edited_share_is_told_as_a_move_and_updates_one_route(edit: Callable[[str, str], None]):
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 60, deepinfra: 40}")
    status, text = diff("--stack", "kind")
    assert status == 1
    assert re.sub(r"/[0-9a-f]{8}: ", "/EDITION: ", text) == (
        f"HEAD:{FILE} → {FILE}\n\n"
        "llama-3.3-70b\n"
        "  deepinfra  10% → 40%\n"
        "  vllm       90% → 60%\n"
        "  fallback   none\n"
        "  price      unknown (at vllm) per million tokens\n\n"
        "Resources: 1 to update\n"
        f"  ~  {ROUTE} gateway-route/llama-3.3-70b/EDITION: "
        "spec.rules[].backendRefs[].headerMutation.set[].value, spec.rules[].backendRefs[].weight\n"
    )


def test_how_many_sessions_lose_their_cache_is_told(project: Path, edit: Callable[[str, str], None]):
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 90, deepinfra: 10}\n      affinity: {header: x-session-id}")
    assert "\n  affinity   by x-session-id\n" in diff("--stack", "kind")[1]
    git(project, "commit", "--quiet", "--all", "--message", "keep sessions")
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 60, deepinfra: 40}")
    lost = "30% of the sessions change their host and lose its cache"
    assert f"\n  affinity   by x-session-id, {lost}\n" in diff("--stack", "kind")[1]


def test_what_an_edit_does_to_a_peak_is_told(edit: Callable[[str, str], None]):
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 90, deepinfra: 10}\n      peak: {tokensPerMinute: 1M}")
    status, text = diff("--stack", "kind")
    assert status == 1
    lines = ("with all hosts", "without deepinfra", "without vllm")
    peak = "".join(f"  {each}: unknown whether carried\n" for each in lines)
    assert f"\n\npeak of llama-3.3-70b\n{peak}\nNo traffic moves.\n" in text


def test_as_json_it_has_the_move_and_the_resources(edit: Callable[[str, str], None]):
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 100}")
    status, text = diff("--stack", "kind", "--json")
    document: dict[str, Any] = json.loads(text)
    assert status == 1
    assert document["move"]["models"][0]["shares"] == [
        {"host": "deepinfra", "before": 10, "after": 0},
        {"host": "vllm", "before": 90, "after": 100},
    ]
    assert document["move"]["models"][0]["lostUnknown"] == ["deepinfra"]
    assert {verb: bool(touched) for verb, touched in document["resources"].items()} == {
        "create": True,
        "update": True,
        "replace": False,
        "delete": True,
        "follow": False,
    }


def test_a_stack_that_is_new_creates_everything(project: Path):
    shutil.copy(project / FILE, project / "stacks/Pulumi.new.yaml")
    status, text = diff("--stack", "new")
    assert status == 1
    assert text.startswith("no stack → stacks/Pulumi.new.yaml\n\nllama-3.3-70b (added)\n")
    assert "to create" in text
    assert "to update" not in text


def test_a_stack_for_one_machine_moves_traffic_and_touches_no_resource(edit: Callable[..., None]):
    edit("bedrock: 60, azure: 25", "bedrock: 25, azure: 60", "stacks/Pulumi.local.yaml")
    status, text = diff("--stack", "local")
    assert status == 1
    assert "  bedrock   60% → 25%\n" in text
    assert text.endswith("No resource changes.\n")


def test_what_uses_a_replaced_resource_is_said_to_follow_it(edit: Callable[..., None]):
    edit("10.80.0.0/16", "10.81.0.0/16", "stacks/Pulumi.staging.yaml")
    status, text = diff("--stack", "staging")
    assert status == 1
    assert "  +- aws:ec2/vpc:Vpc cluster-network-vpc: cidrBlock\n" in text
    assert re.search(
        r"^What uses those that are replaced follows them, updated or replaced as well: \d+ more\n"
        r"  aws:ec2/\S+ \S+, aws:ec2/\S+ \S+, aws:ec2/\S+ \S+ and \d+ more\n\Z",
        text,
        re.MULTILINE,
    )
    resources = json.loads(diff("--stack", "staging", "--json")[1])["resources"]
    following = {each["type"] for each in resources["follow"]}
    assert {"aws:eks/cluster:Cluster", "kubernetes:core/v1:Namespace"} <= following
    assert not any(
        each in resources["follow"] for each in (*resources["create"], *resources["update"], *resources["replace"])
    )


LAB = "lab: {kind: openai, url: 'https://lab.example.com/v1', ca: ca.pem, models: {llama-3.3-70b: m}}"


def test_the_files_that_a_version_names_are_those_of_its_revision(project: Path, edit: Callable[..., None]):
    edit("    deepinfra: {}\n", f"    deepinfra: {{}}\n    {LAB}\n")
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 90, lab: 10}")
    (project / "stacks" / "ca.pem").write_text("one")
    git(project, "add", "stacks")
    git(project, "commit", "--quiet", "--message", "second")
    assert diff("--stack", "kind")[1].endswith("No traffic moves.\n\nNo resource changes.\n")
    (project / "stacks" / "ca.pem").write_text("other")
    assert "  ~  kubernetes:core/v1:ConfigMap gateway-authority/lab: data.ca.crt\n" in diff("--stack", "kind")[1]


def test_where_a_file_cannot_be_read_the_move_is_there_and_the_status_is_2(edit: Callable[..., None]):
    edit("    deepinfra: {}\n", f"    deepinfra: {{}}\n    {LAB}\n")
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 80, deepinfra: 10, lab: 10}")
    status, text = diff("--stack", "kind")
    assert (status, "  vllm       90% → 80%\n" in text) == (2, True)
    assert text.endswith(
        "Which resources change is not known, because something cannot be read:\n"
        f"  {FILE}: stacks/ca.pem: No such file or directory\n"
    )


def test_a_stack_that_was_removed_loses_everything(project: Path):
    (project / FILE).unlink()
    status, text = diff("--stack", "kind")
    assert status == 1
    assert text.startswith(f"HEAD:{FILE} → no stack\n\nllama-3.3-70b (removed)\n")
    assert re.search(r"^Resources: \d+ to delete$", text, re.MULTILINE)


def test_a_version_that_is_refused_still_has_its_move(edit: Callable[..., None]):
    edit("corral:accept: []", "corral:residency: [eu]")
    status, text = diff("--stack", "kind")
    assert status == 1
    assert "No traffic moves." in text
    assert "Which resources change is not known, because a version is refused:\n" in text
    assert f"  {FILE}: error residency/llama-3.3-70b/deepinfra: " in text


@pytest.mark.parametrize("broken", ["before", "after"])
def test_a_version_that_cannot_be_read_is_named(project: Path, edit: Callable[..., None], broken: str):
    edit("vllm: 90", "vllm: 80")
    if broken == "before":
        git(project, "commit", "--quiet", "--all", "--message", "second")
        edit("vllm: 80", "vllm: 90")
    with pytest.raises(ConfigError) as refused:
        diff("--stack", "kind")
    assert str(refused.value).startswith(f"{'HEAD:' if broken == 'before' else ''}{FILE}:")
    assert len(refused.value.problems) == 1


def test_another_revision_can_be_compared_with(project: Path, edit: Callable[..., None]):
    edit("{vllm: 90, deepinfra: 10}", "{vllm: 60, deepinfra: 40}")
    git(project, "commit", "--quiet", "--all", "--message", "second")
    assert diff("--stack", "kind")[0] == 0
    assert "10% → 40%" in diff("--stack", "kind", "--against", "HEAD~1")[1]


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD:stacks"])
def test_a_revision_that_is_none_is_unreadable(project: Path, revision: str):
    with pytest.raises(NoRevisionError, match="git knows no revision"):
        at_revision(project, FILE, revision)
    assert diff("--stack", "kind", f"--against={revision}")[0] == 2
    assert not (project / "x").exists()


def test_outside_of_a_work_tree_there_is_no_revision(tmp_path: Path):
    with pytest.raises(NoRevisionError, match="is no git work tree"):
        at_revision(tmp_path, FILE, "HEAD")
