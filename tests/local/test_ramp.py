"""`corral ramp` on the local engine: a move that goes by itself, and comes back from a host that turns bad."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.local.gateway import TWO_HOSTS, Load, serving, until

STACK = """\
config:
  corral:engine: {simulate: always, ejectionTime: 1s}
  corral:hosts: # in the order in which they came
    together: {models: {m: together-m}}
    groq: {models: {m: groq-m}}
    deepinfra: {models: {m: deepinfra-m}}
  corral:models:
    m:
      shares: {together: 0, groq: 60, deepinfra: 40} # edited by a ramp
  corral:ramps:
    m: # a step each three seconds
      to: {together: 40}
      every: 3s
      least: 20
"""


def test_a_host_that_turns_bad_at_30_percent_is_back_at_20_before_the_next_step_and_nothing_is_lost(project: Path):
    def share() -> int:
        return config()["corral:models"]["m"]["shares"]["together"]

    def config() -> dict[str, Any]:
        return yaml.safe_load(gateway.file.read_text())["config"]

    with serving(project, TWO_HOSTS) as gateway, Load(gateway.url) as load:
        before = gateway.running
        gateway.file.write_text(STACK)
        until(lambda: gateway.running != before, "the stack is in force")
        command = [sys.executable, "-m", "corral.cli", "ramp", "--stack", gateway.stack]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components")}
        with (project / "ramp.log").open("wb") as log:
            ramp = subprocess.Popen(command, cwd=project, stdout=log, stderr=log, env=environment)
        try:
            until(lambda: share() == 30, "the ramp is at 30 %")
            with gateway.control() as control:
                control.set_fault("together", "503", retry_after=0)
            until(lambda: share() != 30, "the ramp has moved")
        finally:
            ramp.terminate()
            ramp.wait()
        why = config()["corral:ramps"]["m"]["paused"]
        said = (project / "ramp.log").read_text()
        load.more(50)
    assert load.failures == []
    assert [line.partition(" ")[2] for line in said.splitlines() if "holds" not in line] == [
        "m: on to {deepinfra: 36, groq: 54, together: 10}",
        "m: on to {deepinfra: 32, groq: 48, together: 20}",
        "m: on to {deepinfra: 28, groq: 42, together: 30}",
        f"m: back to {{deepinfra: 32, groq: 48, together: 20}}, and paused: {why.rpartition(', at ')[0]}",
    ]
    assert gateway.file.read_text() == STACK.replace(
        "{together: 0, groq: 60, deepinfra: 40}", "{together: 20, groq: 48, deepinfra: 32}"
    ).replace(
        "to: {together",
        f'paused: "{why}"\n      from: {{deepinfra: 40, groq: 60, together: 0}}\n      to: {{together',
    )
