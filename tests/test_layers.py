"""Which way data flows, read from the imports: Pulumi at the edge, a pure middle, one parser, two engines apart."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PULUMI_MAY = (
    "stacks/__main__.py",
    "components/hosts/base.py",
    "components/hosts/registry.py",
    "components/hosts/keys.py",
    "components/hosts/*/component.py",
    "components/hosts/bedrock/provider.py",
    "components/cluster/*.py",
    "components/gateway/*.py",
    "components/preview/*.py",
    "bench/floor.py",
)
"""Components, the program, what records a preview of it, and the program that a preview is measured against."""

PURE = ("config", "catalog", "plan", "checks", "render")

PURE_MAY_IMPORT = {
    *("__future__", "abc", "ast", "base64", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum"),
    *(
        "fractions",
        "functools",
        "hashlib",
        "inspect",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
    ),
    *("textwrap", "types", "typing", "typing_extensions", "urllib.parse", "components"),
    *("pydantic", "pydantic_core", "yaml", "genai_prices"),
    *("pathlib", "importlib.resources"),
}
"""Nothing that opens a socket, starts a process, waits, or asks for the time.  `pathlib` and `importlib.resources` are
for the stack file and the catalog's data."""

READS_STACKS = (
    "components.config.read",
    "components.config.stack_file",
    "components.config.yaml_tree",
    "components.config.plain",
    "components.config.translation",
)
MAY_READ_STACKS = ("components/config/*.py", "components/cli/*.py", "components/preview/*.py", "stacks/__main__.py")

ENGINES = {
    "embedded": ("components/embedded", "components/adapter", "components/simulated", "components/render/envoy"),
    "kubernetes": ("components/gateway", "components/cluster", "components/render/gateway_api"),
}


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    """Every Python file in these folders, by its path in the project."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def imported(path: Path) -> set[str]:
    """The modules a file imports anywhere in it; `from a import b` counts as `a` and as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(module: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_pulumi_is_imported_by_components_and_the_program_only():
    importing = [
        name
        for name, path in modules("components", "stacks", "bench")
        if any(module.split(".")[0].split("_")[0] == "pulumi" for module in imported(path))
    ]
    assert [name for name in importing if not any(fnmatch(name, pattern) for pattern in PULUMI_MAY)] == []
    assert "stacks/__main__.py" in importing


@pytest.mark.parametrize("package", PURE)
def test_the_middle_does_nothing_but_compute(package: str):
    impure = {
        (name, module)
        for name, path in modules(f"components/{package}")
        for module in imported(path)
        if not within(module, PURE_MAY_IMPORT)
    }
    assert impure == set()


def test_stack_files_are_read_in_one_place():
    loading = {
        name
        for name, path in modules("components", "stacks")
        if {"yaml", "components.config.yaml_loader"} & imported(path) and not name.startswith("components/config/")
    }
    assert loading == {"components/catalog/load.py"}
    reading = {
        (name, module)
        for name, path in modules("components", "stacks")
        for module in imported(path)
        if within(module, READS_STACKS) and not any(fnmatch(name, pattern) for pattern in MAY_READ_STACKS)
    }
    assert reading == set()


@pytest.mark.parametrize(("engine", "other"), [("embedded", "kubernetes"), ("kubernetes", "embedded")])
def test_neither_engine_knows_the_other(engine: str, other: str):
    packages = tuple(folder.replace("/", ".") for folder in ENGINES[other])
    crossing = {
        (name, module)
        for name, path in modules(*ENGINES[engine])
        for module in imported(path)
        if within(module, packages)
    }
    assert crossing == set()


def test_the_plan_and_the_checks_know_no_engine():
    engines = (*(folder.replace("/", ".") for folders in ENGINES.values() for folder in folders), "components.hosts")
    knowing = {
        (name, module)
        for name, path in modules("components/config", "components/catalog", "components/plan", "components/checks")
        for module in imported(path)
        if within(module, engines)
    }
    assert knowing == set()


def test_the_commands_of_one_machine_load_no_pulumi():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, components.cli.main; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [name for name in loaded.stdout.split() if name.split(".")[0].split("_")[0] == "pulumi"] == []


def test_the_program_loads_no_provider_before_it_has_accepted_a_stack():
    loaded = subprocess.run(
        [sys.executable, "-c", "import runpy, sys; runpy.run_path('stacks/__main__.py'); print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [name for name in loaded.stdout.split() if name.startswith("pulumi_")] == []
