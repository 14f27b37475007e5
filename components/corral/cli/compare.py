"""`corral compare`: how a model's candidate answers the copies of its requests, beside the hosts that serve them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from corral.cli.project import CommandError, StackOption, load, root
from corral.cli.terminal import Sheet, console, print_json
from corral.config.problems import correction, listed, number
from corral.local.state_folder import StateFolder
from corral.local.statistics.compared import Comparison, Side, pairs
from corral.local.statistics.compared import compare as compared
from corral.local.statistics.request_log import EXAMPLES, Window, moment

WORSE, TOO_FEW = 1, 2

_NONE = "–"


def compare(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model with a mirror.")],
    stack: StackOption = "local",
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help=f"Only requests that began then or later: {EXAMPLES}.")
    ] = "",
    least: Annotated[
        int, typer.Option("--least", min=1, metavar="REQUESTS", help="With less of them nothing is judged.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Set a candidate's answers beside those of the hosts that serve a model, in numbers.

    The candidate gets copies of requests by the model's mirror in the stack. Exit status 0 if it answers as well, 1 if
    it is worse, 2 if too few requests were copied to tell.
    """
    planned = {each.name: each for each in load(stack).plan.models}
    if model not in planned:
        raise CommandError(f"No such model in stack {stack}{correction(model, planned)}.")
    try:
        begin = Window(moment(since, datetime.now(UTC)) if since else None)
    except ValueError as wrong:
        raise typer.BadParameter(f"{wrong}.", param_hint="--since") from None
    try:
        paired = pairs(StateFolder.of(root(), stack).mirrored, model, begin)
    except FileNotFoundError:
        paired = []
    if not paired:
        way_out = "" if planned[model].candidate else f": give it one, corral:models.{model}.mirror"
        raise CommandError(f"No request of {model} was copied to a candidate on this machine{way_out}.")
    comparison = compared(model, paired)
    enough = comparison.requests >= least
    comparison = comparison if enough else replace(comparison, worse=())
    if as_json:
        print_json(comparison)
    else:
        out = console()
        out.print(_table(comparison))
        out.print(_verdict(comparison, least), soft_wrap=True)
    if not enough:
        raise typer.Exit(TOO_FEW)
    if comparison.worse:
        raise typer.Exit(WORSE)


def _verdict(of: Comparison, least: int) -> str:
    candidate = listed(of.candidate.hosts, "and")
    if of.requests < least:
        return f"{of.requests} of {least} requests: too few to tell how {candidate} answers."
    if of.worse:
        return f"{candidate} is worse: it {', '.join(of.worse)}."
    return f"{candidate} answers {of.requests} requests as well as {listed(of.served.hosts, 'and')}."


def _table(of: Comparison) -> Sheet:
    sheet = Sheet("", *(listed(side.hosts, "and") or _NONE for side in (of.served, of.candidate)), titles=0)
    sheet.group()
    for name, *cells in zip(_NAMES, _cells(of.served), _cells(of.candidate), strict=True):
        sheet.row(name, *cells)
    if of.called_alike is not None:
        sheet.row("the same tools called", "", _percent(of.called_alike))
    return sheet


_NAMES = ("answered", "first byte, 95 %", "answer, half", "answer, 95 %", "tokens of an answer", "JSON where asked for")


def _cells(side: Side) -> Iterator[str]:
    yield _percent(side.answered)
    for milliseconds in (side.first_byte_p95, side.duration_p50, side.duration_p95):
        yield _NONE if milliseconds is None else f"{milliseconds:,} ms"
    yield _NONE if side.output_tokens is None else number(side.output_tokens)
    yield _NONE if side.json is None else _percent(side.json)


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"
