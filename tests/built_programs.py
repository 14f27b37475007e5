"""Programs that tests need and that the environment of the tests cannot bring: built once, and kept.

Some are built from their Go modules; libraries are installed from lock files, where they would not go together with the
packages of the environment, or are not Python's.  All lie in `$XDG_CACHE_HOME/corral` (`~/.cache/corral`), in a folder
for each version.  Whoever needs them first builds them, and the other processes wait.  What cannot be built is not
tried again for some minutes, so that the rest of a run need not wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corral"

_FAILED_SECONDS = 600
"""How long a build that failed is not tried again."""

_BUILD_SECONDS = 1800
"""A step of a build that takes longer has failed; the longest takes three minutes where it has two cores to itself, and
took more than twenty beside much else."""


class UnavailableError(Exception):
    """The programs are not there and cannot be built; says why."""


Builder = Callable[..., str]
"""Runs the program that builds with these arguments in the folder of the build; what it writes."""


@dataclass(frozen=True)
class BuiltPrograms:
    """Programs that are built together."""

    title: str
    """What they are: “a Pulumi engine”."""
    version: str
    """The name of their folder: what they are, in which version."""
    names: tuple[str, ...]
    build: Callable[[Path, Path, Builder], None]
    """Builds them: in an empty folder, into another one."""
    builder: str = "go"
    """The program that builds them, on PATH or beside this Python."""

    def kept(self) -> Path | None:
        """The folder with them; None where they were not built yet."""
        folder = _CACHE / self.version
        return folder if self._in(folder) else None

    def folder(self) -> Path:
        """The folder with them, which are built first where they are not there.  Raises UnavailableError."""
        if kept := self.kept():
            return kept
        folder = _CACHE / self.version
        program = shutil.which(
            self.builder, path=os.pathsep.join((os.environ["PATH"], str(Path(sys.executable).parent)))
        )
        if program is None:
            raise UnavailableError(f"{self.title} cannot be built: there is no {self.builder} on PATH")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{self.version}.lock")):
            if not self._in(folder):
                self._built(folder, program)
        return folder

    def _in(self, folder: Path) -> bool:
        return all((folder / name).exists() for name in self.names)

    def _built(self, folder: Path, program: str) -> None:
        failure = folder.with_name(f"{self.version}.failed")
        if failure.exists() and time.time() - failure.stat().st_mtime < _FAILED_SECONDS:
            raise UnavailableError(failure.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            module, into = Path(scratch, "module"), Path(scratch, "programs")
            module.mkdir()
            into.mkdir()
            try:
                self.build(module, into, _running(program, module))
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                output = error.stderr or error.stdout if isinstance(error, subprocess.CalledProcessError) else ""
                why = (output or str(error)).strip()[-2000:]
                failure.write_text(f"{self.title} could not be built: {why}", encoding="utf-8")
                raise UnavailableError(failure.read_text(encoding="utf-8")) from None
            shutil.rmtree(folder, ignore_errors=True)
            into.rename(folder)
        failure.unlink(missing_ok=True)


def _running(program: str, folder: Path) -> Builder:
    """Politely, as tests that measure time run beside it, and so that nothing but the modules decides what is built."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}

    def run(*arguments: str) -> str:
        return subprocess.run(
            ["nice", program, *arguments],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
        ).stdout

    return run


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
