"""A first Ctrl-C is quiet while a verb is still being loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, time

class Pausing:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            print("loading", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Pausing())
from corral.cli.__main__ import main
sys.argv[1:] = ["plan"]
main()
"""


@pytest.mark.parametrize("module", ["corral.cli.main", "typer", "corral.cli.terminal", "corral.cli.serve"])
def test_ctrl_c_while_a_module_is_loaded_gives_no_traceback(module: str):
    program = PROGRAM.replace("sys.argv[-1]", repr(module))
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components")},
    ) as corral:
        assert corral.stdout
        assert corral.stdout.readline() == "loading\n"
        corral.send_signal(signal.SIGINT)
        out, error = corral.communicate(timeout=30)
    assert (corral.returncode, out, error) == (130, "", "")
