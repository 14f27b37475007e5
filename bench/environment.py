"""Other gateways, installed for the bench alone: in `.bench/`, from the registries this machine is set up for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.process import ROOT, UnavailableError

_FOLDER = ROOT / ".bench"


async def python_environment(name: str, requirement: str) -> Path:
    """A virtual environment that has the requirement; the folder of its programs.  Raises UnavailableError."""
    folder = _folder(f"{name}-{requirement.split('==')[-1]}")
    programs = folder / "bin"
    if not _finished(folder):
        await _run((sys.executable, "-m", "venv", "--clear", folder))
        await _run((programs / "pip", "install", "--quiet", "--disable-pip-version-check", requirement))
        _finish(folder)
    return programs


async def node_package(name: str, version: str, overrides: Mapping[str, str]) -> Path:
    """A package from npm, with these versions of what it requires; its folder.  Raises UnavailableError."""
    folder = _folder(f"{name.split('/')[-1]}-{version}")
    if not _finished(folder):
        npm = shutil.which("npm")
        if not npm:
            raise UnavailableError("npm is not on PATH")
        wanted = {"private": True, "dependencies": {name: version}, "overrides": dict(overrides)}
        (folder / "package.json").write_text(json.dumps(wanted))
        await _run((npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder))
        _finish(folder)
    return folder / "node_modules" / name


def _folder(name: str) -> Path:
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / ".gitignore").write_text("*\n")
    folder = _FOLDER / name
    folder.mkdir(exist_ok=True)
    return folder


def _finished(folder: Path) -> bool:
    return (folder / "finished").exists()


def _finish(folder: Path) -> None:
    (folder / "finished").touch()


async def _run(command: Sequence[str | Path]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        last = "".join(output.decode(errors="replace").strip().splitlines()[-1:])
        raise UnavailableError(f"it cannot be installed: {last}")
