"""`corral advise`: a patch that git takes, and what it says without its library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Corral

STACK = """\
config:
  corral:hosts: {together: {limits: {tokensPerMinute: 100k}}, deepinfra: {limits: {tokensPerMinute: 100k}}}
  corral:models:
    llama-3.3-70b: {shares: {together: 50, deepinfra: 50}, peak: {tokensPerMinute: 80k}, volume: 100M} # both
"""


def test_the_advice_is_a_patch_that_git_takes(corral: Corral, project: Path):
    pytest.importorskip("highspy")
    file = project / "stacks" / "Pulumi.prod.yaml"
    file.write_text(STACK)
    said = corral("advise", "--stack", "prod")
    assert (said.status, said.err) == (0, "")
    assert "  deepinfra  50% → 99%\n  together   50% → 1%\n" in said.out
    subprocess.run(["git", "apply"], input=said.out, text=True, check=True, cwd=project)
    assert file.read_text() == STACK.replace("{together: 50, deepinfra: 50}", "{together: 1, deepinfra: 99}")
    assert "No other shares cost less" in corral("advise", "--stack", "prod").out


@pytest.mark.usefixtures("project")
def test_without_its_solver_it_says_what_to_install():
    program = "import sys; sys.modules['highspy'] = None; from corral.cli.__main__ import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", program, "advise", "--stack", "prod"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    message = "corral advise needs libraries that are not installed here: pip install 'corral[advise]'\n"
    assert (done.returncode, done.stderr) == (1, message)
