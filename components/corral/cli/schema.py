"""`corral schema`: the JSON Schema of stack files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corral.catalog.load import load_catalog
from corral.cli.project import FOLDER, root, write_files
from corral.config.schema import json_schema


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; - for standard output.")
    ] = None,
) -> None:
    """Write the JSON Schema of stack files (stacks/schema.json), which editors check and complete them with."""
    text = json.dumps(json_schema(load_catalog()), indent=2) + "\n"
    if output == Path("-"):
        typer.echo(text, nl=False)
        return
    file = output or root() / FOLDER / "schema.json"
    write_files({file: text})
    typer.echo(f"wrote {file}")
