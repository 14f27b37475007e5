"""The `corral` command, called in this process, in a project of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from corral.cli.main import main

STACK = """\
config:
  corral:hosts:
    groq: {models: {m: groq-m}}
    deepinfra: {}
  corral:models:
    m: {shares: {groq: 100}}
    llama-3.3-70b: {shares: {deepinfra: 100}}
"""


class Outcome(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


Corral = Callable[..., Outcome]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with the stacks `local` and `prod`; no host has a key."""
    (tmp_path / "stacks").mkdir()
    for stack in ("local", "prod"):
        (tmp_path / "stacks" / f"Pulumi.{stack}.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    for name in ("CORRAL_STACK", "GROQ_API_KEY", "DEEPINFRA_API_KEY", "LAB_API_KEY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def corral(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Corral:
    """Calls `corral` with these arguments; its output goes into a pipe, as it were."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", ["corral", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    return call
