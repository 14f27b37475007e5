"""The house: its rooms in order, a room importing only rooms above it; a pure top, Pulumi at the edge, one parser."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "components" / "corral"

ROOMS = (
    *("catalog", "config", "plan", "hosts", "cluster", "gateway", "monitoring", "testing", "simulated", "local"),
    "cli",
)
"""In order: a room imports only itself and rooms above it."""

PURE = ("catalog", "config", "plan")
"""And of the rooms of the engines what is said to be pure."""

PURE_PARTS = ("gateway/manifests", "local/envoy")

PURE_MAY_IMPORT = {
    *("__future__", "abc", "ast", "base64", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum"),
    *("fractions", "functools", "hashlib", "inspect", "ipaddress", "itertools", "json", "math", "operator", "re"),
    *("string", "textwrap", "types", "typing", "typing_extensions", "urllib.parse", "corral"),
    *("pydantic", "pydantic_core", "yaml", "genai_prices"),
    *("bisect", "contextlib", "copy", "gc", "pathlib", "importlib.resources"),
}
"""Nothing that opens a socket, starts a process, waits, or asks for the time.  `pathlib` and `importlib.resources` are
for the stack file and the catalog's data."""

PULUMI_MAY = (
    *("hosts/base.py", "hosts/failures.py", "hosts/iam.py", "hosts/registry.py", "hosts/keys.py", "hosts/images.py"),
    "hosts/*/component.py",
    "hosts/endpoint.py",  # for type checkers alone
    *("hosts/bedrock/provider.py", "cluster/*.py", "gateway/*.py", "testing/*.py"),
)
"""Components, the program, and what records it."""

READS_STACKS = {f"corral.config.{name}" for name in ("edits", "read", "stack_file", "yaml_tree", "translation")}
MAY_READ_STACKS = ("config/*.py", "cli/*.py", "testing/*.py", "gateway/program.py", "local/drill/run.py")
"""A drill edits the shares of its copy of a stack file, as a person would."""


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    """Every Python file in these folders of the package, by its path in it."""
    for folder in folders:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            yield path.relative_to(PACKAGE).as_posix(), path


def imported(path: Path) -> set[str]:
    """The modules a file imports anywhere in it; `from a import b` counts as `a` and as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def uses_pulumi(modules: set[str]) -> bool:
    return any(module.split(".")[0].split("_")[0] == "pulumi" for module in modules)


def test_the_rooms_are_these_and_each_says_in_a_sentence_what_it_is():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))), room


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str):
    below = {f"corral.{name}" for name in ROOMS[ROOMS.index(room) + 1 :]}
    apart = {"gateway": {"corral.local"}, "local": {"corral.gateway"}}.get(room, set[str]())
    crossing = {
        (name, module) for name, path in modules(room) for module in imported(path) if within(module, below | apart)
    }
    assert crossing == set()


@pytest.mark.parametrize("part", [*PURE, *PURE_PARTS])
def test_the_middle_does_nothing_but_compute(part: str):
    impure = {
        (name, module)
        for name, path in modules(part)
        for module in imported(path)
        if not within(module, PURE_MAY_IMPORT)
    }
    assert impure == set()


def test_pulumi_is_imported_by_components_and_the_program_only():
    importing = [name for name, path in modules("") if uses_pulumi(imported(path))]
    assert [name for name in importing if not any(fnmatch(name, pattern) for pattern in PULUMI_MAY)] == []
    assert "gateway/program.py" in importing


def test_stack_files_are_read_in_one_place():
    loading = {name for name, path in modules("") if "yaml" in imported(path)}
    assert {name for name in loading if not name.startswith("config/")} == {"catalog/load.py", "cluster/kubeconfig.py"}
    reading = {
        (name, module)
        for name, path in modules("")
        for module in imported(path)
        if within(module, READS_STACKS) and not any(fnmatch(name, pattern) for pattern in MAY_READ_STACKS)
    }
    assert reading == set()


def loaded_by(program: str) -> list[str]:
    """The modules that a program has loaded when it ends."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=ROOT / "components",
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.split()


@pytest.mark.parametrize("module", ["cli.main", "gateway.manifests.render"])
def test_the_commands_of_one_machine_and_the_manifests_load_no_pulumi(module: str):
    assert [name for name in loaded_by(f"import corral.{module}") if uses_pulumi({name})] == []


def test_the_program_loads_no_provider_before_it_has_accepted_a_stack():
    loaded = loaded_by("import corral.gateway.program")
    assert "pulumi" in loaded
    assert [name for name in loaded if name.startswith("pulumi_")] == []
