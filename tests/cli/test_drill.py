from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Corral


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--short", "--minutes", "2"), "it is this or --short, not both"),
        (("--minutes", "0"), "greater than or equal to 0.2"),
        (("--json", "nowhere/report.json"), "nowhere is no folder: make it, or name a file elsewhere"),
        (("--json", "stacks"), "stacks is a folder: name a file in it"),
        (("--stack", "prd"), "there is no stack prd: did you mean prod?"),
    ],
)
@pytest.mark.usefixtures("project")
def test_bad_use_is_said_before_anything_is_begun(corral: Corral, arguments: tuple[str, ...], message: str):
    said = corral("drill", *arguments)
    assert (said.status, said.out) == (2, "")
    assert message in " ".join(said.err.replace("│", " ").split())


def test_a_stack_that_is_refused_is_not_drilled(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        "config:\n  corral:hosts: {groq: {}}\n  corral:models: {llama-4-scout: {shares: {groq: 100}}}\n"
    )
    said = corral("drill")
    assert (said.status, said.out) == (1, "")
    assert "error lifecycle/llama-4-scout/groq" in said.err
