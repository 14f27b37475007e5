"""The libraries that clients are written with, apart from the environment of the tests: LangChain holds an older client
of OpenAI's than Corral uses.  `npm` and `uv` install what the lock files in this folder name, once.

python -m tests.clients.programs     installs them; `make test` does it beside the other tests
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from tests.built_programs import Builder, BuiltPrograms, UnavailableError

_HERE = Path(__file__).parent


def _version(kind: str, lock: str) -> str:
    return f"clients-{kind}-{hashlib.sha256((_HERE / lock).read_bytes()).hexdigest()[:12]}"


def _install_node(module: Path, into: Path, npm: Builder) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_HERE / name, module / name)
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    (module / "node_modules").rename(into / "node_modules")


def _install_python(_module: Path, into: Path, uv: Builder) -> None:
    packages, lock = str(into / "packages"), str(_HERE / "requirements.lock")
    uv("pip", "install", "--python", sys.executable, "--target", packages, "--require-hashes", "--no-deps", "-r", lock)


NODE = BuiltPrograms(
    "clients for Node", _version("node", "package-lock.json"), ("node_modules",), _install_node, builder="npm"
)
PYTHON = BuiltPrograms(
    "clients for Python",
    _version(str(sys.implementation.cache_tag), "requirements.lock"),
    ("packages",),
    _install_python,
    builder="uv",
)

if __name__ == "__main__":
    for each in (PYTHON, NODE):
        try:
            each.folder()
        except UnavailableError as why:
            print(why, file=sys.stderr)  # noqa: T201
