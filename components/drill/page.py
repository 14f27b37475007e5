"""The report of a drill as one page of HTML that needs nothing else: no script, no font, no file beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.drill import plots
from components.drill.report import Report
from components.drill.sections import figures, sentences
from components.drill.svg import element, text
from components.drill.wording import MOVES, SHARES, Row, cut_short_text, reasons_text, said_text, verdict

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --dim: #666; --line: #ddd; --band: #f2f2f2;
  --good: #00664a; --bad: #a63a00;
  --c0: #0072b2; --c1: #e69f00; --c2: #009e73; --c3: #cc79a7; --c4: #56b4e9; --c5: #d55e00; --c6: #b8a900; --c7: #777; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --dim: #a0a0a0; --line: #3a3a3a;
  --band: #222; --good: #4fd0a5; --bad: #ff9a66; --c0: #4aa8e0; --c6: #f0e442; --c7: #aaa; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.verdict { font-size: 1.15rem; font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-size: .75rem; color: var(--dim); } .dim { color: var(--dim); }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--ink); }
.grid { stroke: var(--line); } .band { fill: transparent; } .odd { fill: var(--band); }
.line { fill: none; stroke-width: 2; } .half { stroke: var(--c0); } .most { stroke: var(--c5); stroke-dasharray: 5 3; }
.bound { stroke-width: 2; } .declared { stroke: var(--ink); stroke-width: 2.5; } .lost { fill: var(--bad); }
.legend { margin-right: 1.2rem; white-space: nowrap; } .key { display: inline-block; width: .8em; height: .8em;
  margin-right: .35em; }
""" + "".join(
    f".area.c{number}, .dot.c{number} {{ fill: var(--c{number}); }} .bound.c{number} {{ stroke: var(--c{number}); }} "
    f".key.c{number} {{ background: var(--c{number}); }}\n"
    for number in range(plots.COLOURS)
)


def page(report: Report) -> str:
    """The whole document."""
    hosts = plots.colours(report)
    models = sorted({model for second in report.timeline for model in second.answered})
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            element("title", text(f"Drill of {report.stack}")),
            element("style", _STYLE),
        ),
        element("body", *_opening(report), *_plots(report, models, hosts), *_figures(report)),
        lang="en",
    )


def _opening(report: Report) -> Iterable[str]:
    yield element("h1", text(f"Drill of {report.stack}"))
    yield element("p", text(verdict(report)), class_=f"verdict {'bad' if report.problems else 'good'}")
    if report.problems:
        yield _list(report.problems)
    if report.reasons:
        yield element("p", text(f"Lost: {reasons_text(report.reasons)}."), class_="bad")
    refused = (
        f" {report.refused_by_limit} requests beyond a limit were refused, as they must be." if report.limit else ""
    )
    yield element("p", text(f"Begun {report.started}.{refused} {cut_short_text(report)}".rstrip()), class_="dim")


def _plots(report: Report, models: Sequence[str], hosts: dict[str, str]) -> Iterable[str]:
    yield element("h2", "Second by second")
    yield element("p", "The numbers above the plots are those of the steps below.", class_="dim")
    yield plots.legend(hosts)
    for model in models:
        yield element("h3", text(f"Answers a second: {model}"))
        yield plots.traffic(report, model, hosts)
    yield element("h3", "Until an answer began: p50 (line) and p99 (dashes)")
    yield plots.waits(report)
    yield element("h2", "Steps")
    yield _table(("", "STEP", "FROM", "TO"), _steps(report))


def _steps(report: Report) -> Iterable[Row]:
    for number, step in enumerate(report.steps, 1):
        if step.skipped is not None:
            yield (str(number), f"{step.title}: skipped, {step.skipped}", "", "")
        elif step.began is None or step.ended is None:
            yield (str(number), f"{step.title}: not reached", "", "")
        else:
            yield (str(number), step.title, f"{step.began:.1f} s", f"{step.ended:.1f} s")


def _figures(report: Report) -> Iterable[str]:
    for table in figures(report):
        yield element("h2", text(table.title))
        if table.columns == MOVES:
            yield plots.move_times(report)
        if table.columns == SHARES:
            yield plots.share_errors(report, plots.colours(report))
        yield _table(table.columns, table.rows)
    for listed in sentences(report):
        yield element("h2", text(listed.title))
        yield _list(listed.lines)
    if report.said:
        yield element("h2", "What the engine said")
        yield _list(map(said_text, report.said))


def _table(columns: Row, rows: Iterable[Row]) -> str:
    head = element("tr", *(element("th", text(name), scope="col") for name in columns))
    body = "\n".join(element("tr", *(element("td", text(cell)) for cell in row)) for row in rows)
    return element("div", element("table", element("thead", head), element("tbody", body)), class_="scroll")


def _list(lines: Iterable[str]) -> str:
    return element("ul", *(element("li", text(line)) for line in lines))
