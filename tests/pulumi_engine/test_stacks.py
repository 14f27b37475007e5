from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from corral.cli.init import template_text
from corral.config.cluster import INSTALLED_PROMETHEUS
from tests.pulumi_engine.project import EXAMPLES, Project
from tests.pulumi_engine.stacks import STACKS, Config

pytestmark = pytest.mark.engine


def test_a_preview_of_a_new_stack_promises_to_create_everything_and_touches_nothing(home: Path, tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", "prod", home)
    project.edit(_with_addons)

    outcome = project.preview()

    assert list(outcome.changes) == ["create"]
    assert project.things() == []


def test_a_stack_file_with_secrets_of_another_state_is_taken_without_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load((EXAMPLES / "Pulumi.kind.yaml").read_text(encoding="utf-8"))
    content["config"]["corral:keys"] = {"deepinfra": {"secure": "v1:of another:passphrase"}}
    content["encryptionsalt"] = "v1:b2YgYW5vdGhlcg==:v1:of another:passphrase"
    (tmp_path / "Pulumi.kind.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr("tests.pulumi_engine.project.EXAMPLES", tmp_path)

    there = Project.make(tmp_path / "project", "kind", home)

    assert list(there.preview().changes) == ["create"]


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_up_is_there_and_nothing_is_left_to_do(stack: str, project: Callable[[str], Project]) -> None:
    there = project(stack)
    everything = {"same": len(there.managed())}
    assert {thing.urn for thing in there.things()} == {each["urn"] for each in there.managed() if _from_stand_in(each)}

    there.refresh()

    assert there.preview().changes == everything
    again = there.up()
    assert (again.changes, again.history.events) == (everything, ())


def test_a_definition_is_kept_without_its_prose(project: Callable[[str], Project]) -> None:
    (definition,) = (thing for thing in project("kind").things() if thing.kind == "CustomResourceDefinition")

    assert definition.inputs["spec"] == {"versions": [{"schema": {"openAPIV3Schema": {"type": "object"}}}]}


def _with_addons(config: Config) -> None:
    """All that a stack may install besides, and what goes with it."""
    config["corral:cluster"]["addons"] = dict.fromkeys(("keda", "prometheusOperator", "externalSecrets"), "install")
    config["corral:cluster"]["prometheus"] = {"url": INSTALLED_PROMETHEUS}
    config["corral:secretStore"] = {"name": "aws", "keys": {"huggingface": "corral/huggingface"}}


def _from_stand_in(resource: dict[str, object]) -> bool:
    elsewhere = ("pulumi:", "pulumi-python:")
    return bool(resource["custom"]) and not str(resource["type"]).startswith(elsewhere)


@pytest.mark.parametrize("template", ["aws", "kubernetes", "local"])
def test_a_key_that_is_set_changes_nothing_else_in_a_stack_file_that_init_writes(
    template: str, home: Path, tmp_path: Path
) -> None:
    project = Project.make(tmp_path / "project", "kind", home)
    text = template_text(f"{template}.yaml")
    project.file.write_text(text)
    project.give_key("deepinfra", "sk-NEVER")
    assert project.file.read_text().startswith(text)
