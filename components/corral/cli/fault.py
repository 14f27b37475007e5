"""`corral fault`: makes a simulated host fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import typer

from corral.cli.project import StackOption, running
from corral.config.problems import correction
from corral.local.errors import EngineError
from corral.simulated.control import FAULT_KINDS, ControlError, SimulatedControl
from corral.simulated.simulation import FaultKind

CLEAR = "none"


def _complete_kind(incomplete: str) -> Iterator[str]:
    yield from (kind for kind in (*FAULT_KINDS, CLEAR) if kind.startswith(incomplete))


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text)
    if not match:
        raise typer.BadParameter("write it like 30s, 500ms or 2m")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2] or "s"]


def fault(
    host: Annotated[str, typer.Argument(help="A simulated host of the stack.")],
    kind: Annotated[
        str, typer.Argument(help=f"One of {', '.join(FAULT_KINDS)}; {CLEAR} ends it.", autocompletion=_complete_kind)
    ],
    lasting: Annotated[
        float | None,
        typer.Option("--for", parser=_seconds, metavar="TIME", help="How long: 30s, 2m. Until cleared if left out."),
    ] = None,
    stack: StackOption = "local",
) -> None:
    """Make a simulated host of a running stack fail, and see where its requests go."""
    engine = running(stack)
    if engine.control_url is None or engine.control_token is None:
        raise EngineError(
            f"Stack {stack} has no simulated hosts. Start it with: corral serve --stack {stack} --simulate"
        )
    known: FaultKind | None = next((each for each in FAULT_KINDS if each == kind), None)
    if known is None and kind != CLEAR:
        raise typer.BadParameter(
            f"no fault is called {kind!r}{correction(kind, (*FAULT_KINDS, CLEAR))}", param_hint="KIND"
        )
    with closing(SimulatedControl(engine.control_url, engine.control_token)) as control:
        try:
            if known is None:
                control.clear_fault(host)
            else:
                control.set_fault(host, known, seconds=lasting)
        except ControlError as reason:
            raise EngineError(f"{reason}.") from None
    until = "until it is cleared" if lasting is None else f"for {lasting:g} s"
    typer.echo(f"{host} is well again" if known is None else f"{host}: {kind} {until}")
