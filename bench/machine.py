"""On what was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def machine() -> str:
    """The processor, the cores this process may use, the system and Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()}"
    return f"{_processor()}, {cores} cores, {system}, Python {platform.python_version()}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.machine()


def envoy_version(envoy: Path) -> str:
    """The version of a binary, as `1.40.0`."""
    output = subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"/(\d+\.\d+\.\d+)", output)
    return version[1] if version else "of an unknown version"
