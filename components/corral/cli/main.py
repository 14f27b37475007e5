"""The `corral` command."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from corral import __version__
from corral.cli.project import CommandError
from corral.cli.terminal import complain
from corral.config.problems import ConfigError, missing_extra
from corral.local.errors import EngineError
from corral.plan.checks.run import RefusedError

REFUSED, UNREADABLE = 1, 2

app = typer.Typer(
    name="corral",
    epilog="Exit status: 0 done, 1 refused or not running, 2 a stack file or command line that cannot be read.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"corral {__version__}")
        raise typer.Exit


def _enter(folder: Path | None) -> None:
    if folder is not None:
        if not folder.is_dir():
            raise typer.BadParameter(f"{folder} is no folder")
        os.chdir(folder)


@app.callback()
def corral(
    folder: Annotated[
        Path | None, typer.Option("-C", metavar="DIR", callback=_enter, is_eager=True, help="Run as if in this folder.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Llama on many hosts behind one load balancer: shares in a stack file, traffic that follows them."""


VERBS = (
    *(
        "init",
        "serve",
        "plan",
        "diff",
        "drift",
        "explain",
        "why",
        "preflight",
        "verify",
        "smoke",
        "status",
        "usage",
        "reconcile",
        "compare",
        "fault",
        "drill",
        "ramp",
        "advise",
        "monitoring",
        "schema",
    ),
    "key",
    "prices",
    "prove",
    "registry",
)
"""In the order of the help; each is a module of its name, and a function or a group of commands in it."""

ON_ONE_MACHINE = ("serve", "status", "usage", "reconcile", "compare", "fault", "drill")
"""Those that need `corral[local]`, whose libraries are among others:"""

LOCAL = ("openai", "psutil", "starlette", "watchfiles")


def _register(verb: str) -> None:
    if verb in ON_ONE_MACHINE and not all(map(find_spec, LOCAL)):

        def refuse() -> None:
            """Needs pip install 'corral[local]'."""
            raise CommandError(missing_extra("local", f"corral {verb}"))

        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(verb, context_settings=anything)(refuse)
        return
    command = getattr(import_module(f"corral.cli.{verb}"), verb)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=verb)
    else:
        app.command(verb)(command)


for _verb in VERBS:
    _register(_verb)


def main() -> None:
    """Runs the command; whatever is wrong with the input is said in words, never as a traceback."""
    try:
        app()
    except ConfigError as unreadable:
        complain(str(unreadable))
        sys.exit(UNREADABLE)
    except (RefusedError, EngineError, CommandError) as refused:
        complain(str(refused))
        sys.exit(REFUSED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(REFUSED)
    except OSError as reason:
        complain(f"{reason.filename or 'standard output'}: {reason.strerror}")
        sys.stdout = None  # type: ignore[assignment] (what it holds cannot be written, at exit neither)
        sys.exit(REFUSED)
