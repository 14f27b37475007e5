"""The `corral` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from corral import __version__
from corral.cli import diff, drill, explain, fault, init, key, monitoring, plan, schema, serve, status, usage, verify
from corral.cli.project import CommandError
from corral.cli.terminal import complain
from corral.config.problems import ConfigError
from corral.local.errors import EngineError
from corral.local.statistics.cost import UsageError
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


app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("plan")(plan.plan)
app.command("diff")(diff.diff)
app.command("explain")(explain.explain)
app.command("verify")(verify.verify)
app.command("status")(status.status)
app.command("usage")(usage.usage)
app.command("fault")(fault.fault)
app.command("drill")(drill.drill)
app.command("monitoring")(monitoring.monitoring)
app.command("schema")(schema.schema)
app.add_typer(key.key, name="key")


def main() -> None:
    """Runs the command; whatever is wrong with the input is said in words, never as a traceback."""
    try:
        app()
    except ConfigError as unreadable:
        complain(str(unreadable))
        sys.exit(UNREADABLE)
    except (RefusedError, EngineError, UsageError, CommandError) as refused:
        complain(str(refused))
        sys.exit(REFUSED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(REFUSED)
    except OSError as reason:
        complain(f"{reason.filename or 'standard output'}: {reason.strerror}")
        sys.stdout = None  # type: ignore[assignment] (what it holds cannot be written, at exit neither)
        sys.exit(REFUSED)
