"""The files of one running engine: readable by nobody else, replaced by a rename so that none is read half."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from components.embedded.errors import EngineError
from components.render.envoy.names import Files

_LONGEST_SOCKET_PATH = 103
"""Bytes; macOS's limit (sys/un.h), four less than Linux's."""


def create(stack: str) -> Files:
    """A new directory of mode 0700, short enough a path for a Unix socket."""
    try:
        files = Files(Path(tempfile.mkdtemp(prefix=f"corral-{stack[:20]}-")))
        files.secret("").parent.mkdir(mode=0o700)
    except OSError as reason:
        raise EngineError(f"No directory for Envoy's files in {tempfile.gettempdir()}: {reason.strerror}.") from None
    if len(os.fsencode(files.admin_socket)) > _LONGEST_SOCKET_PATH:
        remove(files)
        raise EngineError(
            f"{tempfile.gettempdir()} is too long a path to hold a Unix socket: name a shorter directory in TMPDIR."
        )
    return files


def replace(path: Path, text: str) -> None:
    """Puts a file of mode 0600 in the place of another, at once."""
    new = path.with_name(path.name + ".new")
    try:
        new.touch(mode=0o600)
        new.write_text(text)
        new.replace(path)
    except OSError as reason:
        new.unlink(missing_ok=True)
        raise EngineError(f"{path} cannot be written: {reason.strerror}. Make room for it in {path.parent}.") from None


def remove(files: Files) -> None:
    """Removes the whole directory."""
    shutil.rmtree(files.root, ignore_errors=True)
