"""What a command is about: the stack and its file, read, planned and checked; the engine that serves it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corral.catalog.load import load_catalog
from corral.config.edits import ReadStack
from corral.config.prices import read_prices
from corral.config.read import check_files, read_again, read_stack
from corral.local.errors import EngineError
from corral.plan.build import Built, build
from corral.plan.checks.run import CheckedStack, check
from corral.plan.memory import held_back

if TYPE_CHECKING:
    from corral.local.state_folder import Running


FOLDER = "stacks"


def root() -> Path:
    """The project: this folder or the nearest one above it that has `stacks/`; this folder where there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / FOLDER).is_dir()), here)


def stack_file(stack: str) -> Path:
    """The file of a stack: relative to where the command was called, if it can be and there is a project."""
    path = root() / FOLDER / f"Pulumi.{stack}.yaml"
    return path.relative_to(Path.cwd()) if path.parent.is_dir() and path.is_relative_to(Path.cwd()) else path


def stacks() -> list[str]:
    """The names of the stacks that there are."""
    return [_name(path.name) for path in sorted((root() / FOLDER).glob("Pulumi.*.yaml"))]


def _name(text: str) -> str:
    """A stack's name, which may be given as the file's, or as the path that a shell completes."""
    match = re.fullmatch(r"(?:.*/)?Pulumi\.(.+)\.yaml", text)
    return match[1] if match else text


def _complete_stack(incomplete: str) -> Iterator[str]:
    yield from (name for name in stacks() if name.startswith(incomplete))


def _named_or_alone(context: typer.Context, text: str) -> str:
    """The stack that is named; where none is, the only one, else `local`."""
    source = context.get_parameter_source("stack")
    if source is not None and source.name == "DEFAULT" and len(names := stacks()) == 1:
        return names[0]
    return _name(text)


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="CORRAL_STACK",
        help="The stack: stacks/Pulumi.NAME.yaml.",
        autocompletion=_complete_stack,
        callback=_named_or_alone,
        show_default="the only one, else local",
    ),
]
"""The option every verb has."""


def load(stack: str) -> CheckedStack:
    """Reads, plans and checks a stack.  Raises ConfigError with every mistake in the file, or with every file that is
    missing beside it."""
    return _load(stack_file(stack), named_files=True)


def load_servable(file: Path) -> CheckedStack:
    """Likewise, a file that is to be served: a plan with errors is refused.  Raises ConfigError or RefusedError."""
    return _load(file).without_errors()


@dataclass
class Followed:
    """A file that is served, and read, planned and checked whenever it has changed, as `load_servable` does."""

    file: Path
    _read: ReadStack | None = field(default=None, init=False)
    _built: Built | None = field(default=None, init=False)

    def __call__(self) -> CheckedStack:
        self._read, prices = read_again(self.file, load_catalog(), self._read), read_prices(self.file.parent)
        stack = self._read.stack
        self._built = Built(stack, prices, build(stack, load_catalog(), prices, self._built))
        return _checked(self.file, self._built).without_errors()


@held_back()
def _load(file: Path, *, named_files: bool = False) -> CheckedStack:
    catalog = load_catalog()
    stack = read_stack(file, catalog)
    if named_files:
        check_files(stack, file)
    prices = read_prices(file.parent)
    return _checked(file, Built(stack, prices, build(stack, catalog, prices)))


def _checked(file: Path, built: Built) -> CheckedStack:
    return CheckedStack(file, built.stack.engine, built.plan, check(built.plan, datetime.now(UTC).date()))


class CommandError(Exception):
    """A command that cannot be carried out; the message says why, and the way out."""


def write_files(texts: Mapping[Path, str], folder: Path | None = None) -> None:
    """Writes files, and makes the folder before.  Raises CommandError."""
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            file.write_text(text)
    except OSError as reason:
        raise CommandError(f"{reason.filename} cannot be written: {reason.strerror}.") from None


def running(stack: str) -> Running:
    """Raises EngineError where the stack is not being served."""
    from corral.local.state_folder import StateFolder  # needs corral[local]

    engine = StateFolder.of(root(), stack).running()
    if engine is None:
        raise EngineError(f"Stack {stack} is not being served here. Start it with: corral serve --stack {stack}")
    return engine
