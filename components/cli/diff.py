"""`corral diff`: what an edit of a stack would do, before it is deployed."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic.alias_generators import to_camel

from components.catalog.load import load_catalog
from components.cli.comparison_text import comparison_text
from components.cli.project import FOLDER, StackOption, root, stack_file
from components.cli.revision import NoRevisionError, at_revision
from components.cli.terminal import complain, console
from components.config.errors import ConfigError

DIFFERENT, UNREADABLE = 1, 2


def diff(
    stack: StackOption = "local",
    against: Annotated[
        str, typer.Option("--against", metavar="REVISION", help="The git revision to compare the working copy with.")
    ] = "HEAD",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what the edits of a stack file would move, and which resources they would touch.

    Needs no engine, no cloud account and no network.  Exit status 0 if nothing differs, 1 if something does or may,
    2 if one of the two versions cannot be read.
    """
    from components.preview.comparison import compare, read_version  # imports Pulumi, which no other verb needs

    file, catalog = stack_file(stack), load_catalog()
    shown = f"{against}:{FOLDER}/{file.name}"
    try:
        text = at_revision(root(), f"{FOLDER}/{file.name}", against)
    except NoRevisionError as why:
        complain(f"{why}.")
        raise typer.Exit(UNREADABLE) from None
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder) / file.name
        before = None
        if text is not None:
            earlier.write_text(text, encoding="utf-8")
            try:
                before = read_version(earlier, shown, catalog)
            except ConfigError as error:
                raise ConfigError([replace(problem, file=shown) for problem in error.problems]) from None
        after = read_version(file, str(file), catalog)
        found = compare(before, after, root() / FOLDER / "__main__.py", datetime.now(UTC).date())
    if as_json:
        console().out(json.dumps(_plain(found), indent=2), highlight=False)
    else:
        console().out(comparison_text(found, shown if before else "no stack", str(file)), highlight=False)
    if found:
        raise typer.Exit(DIFFERENT)


def _plain(value: Any) -> Any:
    """Dataclasses as JSON's objects, with camelCase keys."""
    if is_dataclass(value):
        return {to_camel(field.name): _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    return value
