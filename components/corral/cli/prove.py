"""`corral prove`: what holds of a stack, as a document that can be verified without Corral."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import typer

from corral import __version__
from corral.catalog.load import DATA
from corral.cli.project import StackOption, load, root
from corral.cli.terminal import complain, print_json
from corral.config.prices import FILE as PRICES
from corral.plan.plan import Plan
from corral.plan.proof import FORMAT, residency_paths
from corral.plan.public_json import content_hash
from corral.repository import commit_of

prove = typer.Typer(help="Prove what holds of a stack, for who does not trust Corral.", no_args_is_help=True)


@prove.callback()
def _group() -> None:
    """Its one verb is named all the same: there will be more to prove than where requests are processed."""


@prove.command()
def residency(stack: StackOption = "local") -> None:
    """Write every path that a request could take, with regions, sources and dates, as JSON.

    verify_residency.py, which comes with Corral and needs Python alone, verifies it against the repository.  Exit
    status 1 if a path leaves the residency that it is under.
    """
    loaded = load(stack)
    paths = residency_paths(loaded.plan)
    print_json(
        {
            "format": FORMAT,
            "corral": __version__,
            "stack": loaded.plan.stack,
            "stackFile": _stack_file(loaded.file),
            "commit": commit_of(loaded.file, loaded.file.parent / PRICES),
            "plan": content_hash(loaded.plan),
            "files": {_stack_file(loaded.file): _digest(loaded.file.read_bytes()), **_catalog_files(loaded.plan)},
            "paths": paths,
            "holds": all(path.holds for path in paths),
        }
    )
    if outside := [f"{path.model} at {path.host}" for path in paths if not path.holds]:
        complain(f"Outside of the residency, or where is not known: {', '.join(dict.fromkeys(outside))}.")
        raise typer.Exit(1)


def _stack_file(file: Path) -> str:
    return file.resolve().relative_to(root().resolve()).as_posix()


def _catalog_files(plan: Plan) -> dict[str, str]:
    """The SHA-256 of each of the catalog's files that the paths come from."""
    hosts = (each for model in plan.models for each in (*model.targets, *model.unserved))
    names = ["regions.yaml", *sorted({f"hosts/{each.kind}.yaml" for each in hosts})]
    return {f"catalog/{name}": _digest(DATA.joinpath(*name.split("/")).read_bytes()) for name in names}


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
