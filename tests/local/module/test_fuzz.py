"""The module under AddressSanitizer and UBSan, with plans, requests and answers that were changed at random.

It runs for a moment here; for longer by hand, each seed another run:

    gcc -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -I components/corral/local/module \
        -o fuzz $(ls components/corral/local/module/*.c | grep -v clock.c) tests/local/module/fuzz.c \
        tests/local/module/fake_envoy.c
    ./fuzz 42 3600 .corral/<stack>/budgets
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from corral.local.module.compiler import SOURCES
from tests.local.module.asking import new_file

_SECONDS = "2"
_HERE = Path(__file__).parent
_SANITIZED = ("-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_STRICT = ("-Wall", "-Wextra", "-Werror", "-Wno-overlength-strings")


def test_whatever_comes_nothing_is_read_or_written_beside_it_and_no_memory_is_lost(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("neither gcc nor clang is on PATH")
    probe, fuzzer = tmp_path / "probe.c", tmp_path / "fuzz"
    probe.write_text("int main(void) { return 0; }\n")
    linked = subprocess.run([compiler, *_SANITIZED, "-o", fuzzer, probe], capture_output=True, check=False)
    if linked.returncode or subprocess.run([fuzzer], capture_output=True, check=False).returncode:
        pytest.skip(f"{compiler} has no sanitizers here")
    sources = [file for file in SOURCES if file.name != "clock.c"] + [_HERE / "fake_envoy.c", _HERE / "fuzz.c"]
    command = [compiler, *_SANITIZED, *_STRICT, "-I", SOURCES[0].parent, "-o", fuzzer, *sources]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([fuzzer, "1", _SECONDS, new_file(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    plans, requests, waited = (int(word) for word in ran.stdout.split() if word.isdigit())
    assert plans > 0
    assert requests > waited > 0
