"""`corral monitoring`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Corral


def test_rules_and_dashboard_are_written(corral: Corral, project: Path):
    said = corral("monitoring", "--stack", "prod", "--out", "made/here", "--objective", "99", "--budget", "500")
    assert (said.status, said.out) == (0, "made/here/prod.rules.json\nmade/here/dashboard.json\n")
    rules = json.loads((project / "made" / "here" / "prod.rules.json").read_text())
    assert [group["name"] for group in rules["groups"]] == ["corral prod records", "corral prod alerts"]
    budget = next(rule for rule in rules["groups"][1]["rules"] if rule["alert"] == "CorralBudget")
    assert budget["expr"].endswith("> 500")
    assert json.loads((project / "made" / "here" / "dashboard.json").read_text())["title"] == "Corral"


def test_a_folder_that_cannot_be_made_is_said(corral: Corral, project: Path):
    (project / "made").write_text("a file")
    said = corral("monitoring", "--out", "made")
    assert (said.status, "cannot be written" in said.err) == (1, True)
