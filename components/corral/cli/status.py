"""`corral status`: declared beside observed, of the engine that runs."""

from __future__ import annotations

import json
from typing import Annotated

import httpx
import typer
from rich.text import Text

from corral.cli.project import StackOption, running
from corral.cli.tables import LEGEND, status_table
from corral.cli.terminal import console, print_prose
from corral.local.errors import EngineError
from corral.local.state_folder import Running
from corral.local.statistics.status import STATUS

_PATIENCE_SECONDS = 60.0


def status(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show each model's declared and observed shares, requests, errors, latency and state, since the last change.

    Exit status 1 if the stack is not being served.
    """
    engine = running(stack)
    models = _models(engine)
    out = console()
    if as_json:
        document = {"url": engine.url, "page": engine.page_url, "pid": engine.pid, "since": engine.since}
        out.out(json.dumps({**document, "models": json.loads(models)}, indent=2), highlight=False)
    else:
        out.print(Text.assemble((stack, "bold"), f" at {engine.url}, since {engine.since}; page: {engine.page_url}\n"))
        out.print(status_table(STATUS.validate_json(models)))
        attempts = "Failed attempts: what a host did not answer well; another host may have."
        print_prose(out, Text(f"\n{LEGEND} {attempts}\n", style="dim"))


def _models(engine: Running) -> bytes:
    """The status of all models as JSON: the engine alone knows what an Envoy before this one has counted."""
    try:
        answer = httpx.get(f"{engine.page_url}status", timeout=_PATIENCE_SECONDS)
    except httpx.HTTPError as reason:
        raise EngineError(f"corral serve does not answer at {engine.page_url}: {reason!r}.") from None
    if answer.status_code != 200:
        raise EngineError(answer.text.strip())
    return answer.content
