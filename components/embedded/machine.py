"""What this machine has that Envoy can run out of."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil

_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use: a number of bytes, or `max`."""


def open_files() -> int:
    """How many files and connections a process may have open: Envoy raises its own limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 2**20


def memory() -> int:
    """Bytes of memory, of the machine or of the container this runs in."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_GROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return total
