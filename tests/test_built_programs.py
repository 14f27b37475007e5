"""Programs that are built once: whoever needs them gets them, or the reason why not, and never an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import built_programs
from tests.built_programs import Builder, BuiltPrograms, UnavailableError
from tests.pulumi_engine.programs import programs

_BUILT: list[Path] = []


def _build(_module: Path, into: Path, _go: Builder) -> None:
    (into / "tool").write_text("a program")
    _BUILT.append(into)


def _fail(module: Path, into: Path, go: Builder) -> None:
    _build(module, into, go)
    raise subprocess.CalledProcessError(1, "go", stderr="go: dial tcp: lookup proxy.golang.org: no such host\n")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, and a `go` that nothing calls."""
    _BUILT.clear()
    monkeypatch.setattr(built_programs, "_CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "go").touch(0o755)
    return tmp_path


def test_what_was_built_is_kept():
    tool = BuiltPrograms("a tool", "tool-1.0", ("tool",), _build)
    assert (tool.folder() / "tool").read_text() == "a program"
    assert tool.folder() == tool.folder()
    assert len(_BUILT) == 1


def test_what_cannot_be_built_says_why_and_is_not_tried_again_at_once(cache: Path):
    tool = BuiltPrograms("a tool", "tool-1.0", ("tool",), _fail)
    why = "a tool could not be built: go: dial tcp: lookup proxy.golang.org: no such host"
    for _ in range(2):
        with pytest.raises(UnavailableError) as failed:
            tool.folder()
        assert str(failed.value) == why
    assert len(_BUILT) == 1
    assert not (cache / "cache" / "tool-1.0").exists()


def test_without_go_nothing_is_built_and_that_is_the_reason(cache: Path):
    (cache / "go").unlink()
    with pytest.raises(UnavailableError, match="a tool cannot be built: there is no go on PATH"):
        BuiltPrograms("a tool", "tool-1.0", ("tool",), _build).folder()


def test_an_engine_on_path_is_taken_before_one_is_built(cache: Path):
    names = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
    for name in names:
        (cache / name).symlink_to(sys.executable)
    assert programs() == {name: cache / name for name in names}
