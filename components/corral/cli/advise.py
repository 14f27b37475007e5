"""`corral advise`: the shares of a stack that cost least, as an edit of its file, and what holds them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from difflib import unified_diff
from typing import Annotated, Any

import typer
from rich.text import Text

from corral.cli.diff import model_lines
from corral.cli.project import FOLDER, CommandError, StackOption, load_servable, stack_file
from corral.cli.tables import findings_text, sums_text
from corral.cli.terminal import console, print_json, print_prose
from corral.config.problems import missing_extra
from corral.config.stack_file import with_shares
from corral.plan.advice import Advice, Binding
from corral.plan.advice import advise as advice_of
from corral.plan.checks.peaks import amount
from corral.plan.diff import move
from corral.plan.money import dollars_and_cents
from corral.plan.plan import Plan
from corral.plan.programme import Optimum, Programme, Row, Solver
from corral.plan.ramps import with_shares as at_shares

_MOST = 12
"""More bounds are not spelled out."""


def advise(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Find the shares that cost least and carry the peak, one host or region lost as well; edit nothing.

    Prints them as a patch of the stack file, for `git apply`, with what it moves, and what holds it there.
    Needs pip install 'corral[advise]'.
    """
    loaded = load_servable(stack_file(stack))
    advice = advice_of(loaded.plan, solver, datetime.now(UTC).date())
    if advice is None:
        raise CommandError(
            f"No shares of {loaded.plan.stack} are within all bounds: lower a leastShares, or have hosts take more."
        )
    after = at_shares(loaded.plan, advice.shares)
    moved = move(loaded.plan, after)
    if as_json:
        print_json({"advice": advice, "move": moved})
        return
    lines = [line for model in moved.models for line in (*model_lines(model), "")]
    if moved.before and moved.after and moved.models:
        lines += [f"all of it: {sums_text(moved.before)} → {sums_text(moved.after)}", ""]
    lines += _held(advice, loaded.plan)
    out = console()
    out.out("\n".join(lines), highlight=False)
    print_prose(out, findings_text(advice.new) if advice.new else Text())
    text = loaded.file.read_text(encoding="utf-8-sig")
    path = f"{FOLDER}/{loaded.file.name}"
    patch = unified_diff(
        text.splitlines(keepends=True),
        with_shares(text, advice.shares).splitlines(keepends=True) if advice.shares else text.splitlines(keepends=True),
        f"a/{path}",
        f"b/{path}",
    )
    out.out("".join(patch), highlight=False, end="")


def _held(advice: Advice, plan: Plan) -> Iterator[str]:
    """What holds the shares where they are, and how near they are to what costs least."""
    for binding in advice.bindings[:_MOST]:
        yield _sentence(binding)
    if (more := len(advice.bindings) - _MOST) > 0:
        yield f"{more} bounds more, which cost less."
    for model, why in advice.kept.items():
        yield f"{model} keeps its shares: {why}."
    percent = 100 * advice.over / advice.least if advice.least else 0.0
    over = f"{dollars_and_cents(advice.over)} a month ({percent:.2f}%) above the least there is"
    if advice.shares:
        yield f"In whole percents this is {over}, prompt and answer half and half."
    elif len(advice.kept) < len(plan.models):
        yield f"No other shares cost less: these are {over}, prompt and answer half and half."


def _sentence(binding: Binding) -> str:
    bound, saving = binding.bound, f"would save {dollars_and_cents(binding.saving)} a month"
    match bound.kind:
        case "limit":
            return f"{bound.model}: {bound.host} takes no more of its peak; {amount(bound.step)} more {saving}."
        case "shared limit":
            return f"{bound.host} takes no more of all its models; {amount(bound.step)} more {saving}."
        case "unknown limit":
            return f"{bound.model}: how much {bound.host} takes is unknown, so it gets no more; each point {saving}."
        case "lost":
            without = f"{bound.model}: without {bound.lost} {bound.host} holds no more of its peak"
            return f"{without}; {amount(bound.step)} more {saving}."
        case "least share":
            return f"{bound.model}: leastShares leaves {bound.host} its share; each point less {saving}."
        case "refused":
            return f"{bound.model}: {bound.host} stays at 0, for {bound.why}; each point {saving}."


def solver(programme: Programme) -> Solver:
    """HiGHS.  Each answer begins at the one before.  Raises CommandError where it is not installed."""
    try:
        import numpy
        from highspy import Highs, HighsLp, HighsModelStatus, MatrixFormat, kHighsInf
    except ImportError:
        raise CommandError(missing_extra("advise", "corral advise")) from None
    variables, of_models = programme.variables, [*programme.models.values()]
    lp: Any = HighsLp()
    lp.num_col_, lp.num_row_ = len(variables), len(of_models)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = (
        numpy.array([(each.cost, each.lower, each.upper) for each in variables]).reshape(-1, 3).T
    )
    lp.row_lower_ = lp.row_upper_ = numpy.full(len(of_models), 100.0)
    lp.a_matrix_.format_ = MatrixFormat.kRowwise
    lp.a_matrix_.start_ = numpy.array([0, *(places.stop for places in of_models)], dtype=numpy.int32)
    lp.a_matrix_.index_ = numpy.arange(len(variables), dtype=numpy.int32)
    lp.a_matrix_.value_ = numpy.ones(len(variables))
    highs: Any = Highs()
    highs.silent()
    highs.setOptionValue("presolve", "off")  # what it would leave out is less than it takes
    highs.passModel(lp)

    def answer(rows: Sequence[Row]) -> Optimum | None:
        for row in rows:
            at, parts = numpy.array([*row.parts], dtype=numpy.int32), numpy.array([*row.parts.values()])
            highs.addRow(-kHighsInf, row.most, len(at), at, parts)
        highs.run()
        if highs.getModelStatus() not in (HighsModelStatus.kOptimal, HighsModelStatus.kModelEmpty):
            return None
        solution = highs.getSolution()
        return Optimum([*solution.col_value], [*solution.col_dual], [*solution.row_dual][len(of_models) :])

    return answer
