from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pulumi_engine.project import Project
from tests.pulumi_engine.stacks import STACKS, SWAPS, Swap, Swapped
from tests.pulumi_engine.stand_ins.cluster import ISSUED

pytestmark = pytest.mark.engine

_SECRET = {"4dabf18193072939515e22adb298388d", "plaintext"}
"""The keys of what Pulumi writes for a secret when it is asked to show it (sdk/go/common/resource/sig)."""


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_stands_in_the_state_in_plain_text(stack: str, project: Callable[[str], Project]) -> None:
    there = project(stack)

    secrets = _secrets(there)

    assert secrets
    assert _files_with(secrets, there.state) == []
    assert _files_with(secrets, there.folder / "stacks") == []


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_no_secret_is_said_or_kept_in_plain_text_when_hosts_change(
    swap: Swap, swapped: Callable[[Swap], Swapped]
) -> None:
    done = swapped(swap)

    secrets = _secrets(done.before) | _secrets(done.project)

    assert [secret for secret in secrets if secret in done.outcome.text] == []
    assert _files_with(secrets, done.project.state) == []


@pytest.mark.parametrize("stack", STACKS)
def test_the_tenants_keys_are_given_out_as_secrets(stack: str, project: Callable[[str], Project]) -> None:
    (itself,) = (each for each in project(stack).managed() if each["type"] == "pulumi:pulumi:Stack")

    assert {tenant: set(key) for tenant, key in itself["outputs"]["keys"].items()} == {"default": _SECRET}


@pytest.mark.parametrize("stack", STACKS)
def test_what_clients_are_to_trust_is_given_out_in_the_open(stack: str, project: Callable[[str], Project]) -> None:
    (itself,) = (each for each in project(stack).managed() if each["type"] == "pulumi:pulumi:Stack")

    assert itself["outputs"]["ca"] == ISSUED["ca.crt"]


def _secrets(project: Project) -> set[str]:
    """Every secret that the cluster was given or that was read from it, as it is and in base64."""
    plain = {ISSUED["tls.key"]} | {
        value
        for thing in project.things()
        if thing.type == "kubernetes:core/v1:Secret"
        for value in thing.inputs["stringData"].values()
    }
    return plain | {base64.b64encode(secret.encode()).decode() for secret in plain}


def _files_with(secrets: set[str], folder: Path) -> list[str]:
    """The files that have any of them."""
    return [str(file) for file in _files(folder) if any(secret.encode() in file.read_bytes() for secret in secrets)]


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())
