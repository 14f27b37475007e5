"""What every verb has in common: help, exit status, whole sentences instead of tracebacks, no colours in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral import __version__
from tests.cli.conftest import Corral, Outcome

VERBS = (
    "init",
    "serve",
    "plan",
    "diff",
    "drift",
    "explain",
    "why",
    "preflight",
    "verify",
    "smoke",
    "status",
    "usage",
    "reconcile",
    "compare",
    "fault",
    "drill",
    "ramp",
    "advise",
    "key",
    "monitoring",
    "prices",
    "prove",
    "registry",
    "schema",
)
OF_A_STACK = [
    ("serve",),
    ("plan",),
    ("plan", "--json"),
    ("explain", "m"),
    ("verify",),
    ("smoke",),
]


def test_help_names_every_verb_and_the_exit_statuses(corral: Corral):
    said = corral("--help")
    text = " ".join(said.out.split())
    assert (said.status, said.err) == (0, "")
    assert [verb for verb in VERBS if f"\n  {verb} " not in said.out] == []
    assert "Exit status: 0 done, 1 refused or not running, 2 a stack file or command line that cannot be read." in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_its_options(corral: Corral, verb: str):
    said = corral(verb, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"Usage: corral {verb} [OPTIONS]")
    options = [line for line in said.out.splitlines() if line.startswith("  -")]
    assert options
    assert [line for line in options if len(line.split(maxsplit=2)) < 3] == []


@pytest.mark.parametrize("arguments", OF_A_STACK, ids=" ".join)
@pytest.mark.usefixtures("project")
def test_a_stack_that_is_not_there_is_told_with_the_nearest_one(corral: Corral, arguments: tuple[str, ...]):
    message = "stacks/Pulumi.prd.yaml: there is no stack prd: did you mean prod? There are local and prod\n"
    assert corral(*arguments, "--stack", "prd") == Outcome(2, "", message)


@pytest.mark.parametrize("arguments", OF_A_STACK, ids=" ".join)
def test_a_stack_file_that_does_not_validate_is_told_with_all_its_mistakes(
    corral: Corral, project: Path, arguments: tuple[str, ...]
):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        "config:\n  corral:hosts: {grok: {}}\n  corral:models: {m: {shares: {groq: 90}}}\n"
    )
    said = corral(*arguments)
    assert (said.status, said.out) == (2, "")
    assert [line.partition(": ")[0] for line in said.err.splitlines()] == [
        "stacks/Pulumi.local.yaml:2 corral:hosts.grok",
        "stacks/Pulumi.local.yaml:3 corral:models.m",
        "stacks/Pulumi.local.yaml:3 corral:models.m.shares",
        "stacks/Pulumi.local.yaml:3 corral:models.m.shares.groq",
    ]
    assert "did you mean groq" in said.err


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("fault", "groq", "503")], ids=" ".join)
@pytest.mark.usefixtures("project")
def test_a_stack_that_is_not_being_served_is_told(corral: Corral, arguments: tuple[str, ...]):
    message = "Stack prod is not being served here. Start it with: corral serve --stack prod\n"
    assert corral(*arguments, "--stack", "prod") == Outcome(1, "", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pln",), "No such command 'pln'"),
        (("plan", "--jsn"), "No such option: --jsn"),
        (("explain",), "Missing argument"),
        (("serve", "--port", "70000"), "Invalid value for '--port': Input should be less than or equal to 65535"),
        (("serve", "--address", "localhost"), "localhost is not an IP address like 127.0.0.1 or 0.0.0.0"),
        (("fault", "groq", "503", "--for", "long"), "write it like 30s, 500ms or 2m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("project")
def test_a_command_line_that_cannot_be_read_is_told(corral: Corral, arguments: tuple[str, ...], message: str):
    said = corral(*arguments)
    assert (said.status, said.out) == (2, "")
    assert message in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_the_stack_can_be_named_by_the_environment_and_found_from_below(
    corral: Corral, project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    monkeypatch.setenv("CORRAL_STACK", "prod")
    assert corral("plan").out.startswith("prod on the local engine, plan ")


@pytest.mark.usefixtures("project")
def test_nothing_is_coloured_in_a_pipe(corral: Corral):
    for arguments in (("plan",), ("explain", "m"), ("verify",), ("--help",), ("plan", "--stack", "prd")):
        said = corral(*arguments)
        assert "\x1b" not in said.out + said.err


def test_a_reader_that_goes_away_is_no_error_to_speak_of(project: Path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(
            [sys.executable, "-m", "corral.cli", "schema", "-o", "-"],
            cwd=project,
            stdout=pipe,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components")},
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


COMPLETIONS = [
    ("corral ", set(VERBS)),
    ("corral plan --stack ", {"local", "prod"}),
    ("corral plan --stack p", {"prod"}),
    ("corral explain ", {"m", "llama-3.3-70b"}),
    ("corral explain --stack prod l", {"llama-3.3-70b"}),
    ("corral fault groq r", {"reset", "reset-mid-stream"}),
]


@pytest.mark.parametrize(("typed", "offered"), COMPLETIONS, ids=[typed for typed, _ in COMPLETIONS])
@pytest.mark.usefixtures("project")
def test_the_shell_completes_verbs_stacks_models_and_faults(
    corral: Corral, monkeypatch: pytest.MonkeyPatch, typed: str, offered: set[str]
):
    monkeypatch.setenv("_CORRAL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    said = corral()
    assert (said.status, set(said.out.split()), said.err) == (0, offered, "")


def test_its_version_is_that_of_the_package(corral: Corral):
    assert corral("--version") == Outcome(0, f"corral {__version__}\n", "")


def test_help_is_short_or_long(corral: Corral):
    assert corral("-h") == corral("--help")
    assert corral("plan", "-h") == corral("plan", "--help")


def test_it_runs_as_if_in_another_folder(corral: Corral, project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir("/")
    assert corral("-C", str(project), "plan").out.startswith("local on the local engine")
    assert "is no folder" in corral("-C", str(project / "nowhere"), "plan").err


def test_without_a_project_it_is_said_which_folder_was_looked_into(
    corral: Corral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    message = f"{tmp_path}/stacks/Pulumi.local.yaml: there is no such file, and no stack in {tmp_path}/stacks\n"
    assert corral("plan") == Outcome(2, "", message)


def test_a_lone_stack_needs_no_name(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").unlink()
    assert corral("plan").out.startswith("prod on the local engine")


@pytest.mark.usefixtures("project")
def test_a_stack_may_be_named_by_its_file(corral: Corral):
    assert corral("plan", "--stack", "stacks/Pulumi.prod.yaml") == corral("plan", "--stack", "prod")
