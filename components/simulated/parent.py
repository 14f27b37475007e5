"""Ending with the parent, whichever way it ends, so that no simulated host is left behind.

Everywhere: the parent holds the other end of this process's standard input; when it dies, the kernel closes it.  On
Linux the kernel also sends a signal, for the case that somebody else has inherited that end.  That signal comes
already when the *thread* ends that started this process, so it counts only if the parent is another one by then
(prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def end_with_parent(stop: Callable[[], None]) -> None:
    """Has `stop` called once the parent is gone.  For the main thread; `stop` is called on any, maybe twice."""
    threading.Thread(target=_at_end_of_input, args=(stop,), daemon=True).start()
    if sys.platform == "linux":
        _at_death_of_parent(stop)


def _at_end_of_input(stop: Callable[[], None]) -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stop()


def _at_death_of_parent(stop: Callable[[], None]) -> None:
    parent = os.getppid()

    def check(*_: object) -> None:
        if os.getppid() != parent:
            stop()

    signal.signal(signal.SIGUSR1, check)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
