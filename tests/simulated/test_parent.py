from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal
from corral.simulated.server import end_with_parent
end_with_parent(lambda: os.write(1, b"stop"))
os.kill(os.getpid(), signal.SIGUSR1)
os.write(1, b"on ")
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the child of its parent's death on Linux only")
def test_the_end_of_a_thread_of_the_parent_is_not_the_parents_end():
    """The kernel sends the same signal for both; after it the process goes on until its standard input ends."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(3) == b"on "
        process.stdin.close()
        assert process.stdout.read(4) == b"stop"
        process.kill()
