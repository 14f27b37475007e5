"""Writing to the terminal: colours only where there is one, whole lines where there is none.

Policy.  Text is text: what stands in a stack file is never taken for markup or for the name of an emoji.  A table is
readable at any width: no word is broken, and no column is left out.

On Ctrl-C, SIGTERM or SIGHUP what runs is ended in order.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from corral.plan.public_json import to_json

_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error; into a pipe or a file it writes wide lines without colours."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


class _Lossy:
    """A stream on which what cannot be written (its disk is full, its reader is gone) is lost, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lossy_console() -> Console:
    """A console on standard output for what must go on although nobody can be told of it."""
    lossy = console()
    lossy.file = cast("TextIO", _Lossy(sys.stdout))
    return lossy


def print_json(value: object) -> None:
    """One of our values as a document for programs, on standard output."""
    console().out(json.dumps(to_json(value), indent=2), highlight=False)


def complain(message: str) -> None:
    """Says on standard error what is wrong."""
    console(stderr=True).print(message, style="red", soft_wrap=True)


def print_prose(out: Console, prose: Text) -> None:
    """Prints paragraphs, each on one line; a terminal gets lines of its own width, broken between words."""
    out.print(prose, soft_wrap=not out.is_terminal, end="")


@dataclass(frozen=True)
class _Row:
    cells: tuple[Text, ...]
    """The row's label, and its values."""
    remark: str
    style: str


@dataclass(frozen=True)
class _Group:
    titles: tuple[str, ...]
    notes: tuple[Text, ...]
    rows: list[_Row]


class Sheet:
    """A table of groups of rows: whole where it fits; else each group under a line of its own; else in sentences.

    The first `titles` columns name a group, the next one a row in it; those of `left` are no numbers.
    """

    def __init__(self, *heads: str, titles: int, left: Collection[str] = (), repeat: bool = False) -> None:
        self._heads = heads
        self._titles = titles
        self._left = {*heads[: titles + 1], *left}
        self._repeat = repeat
        self._groups: list[_Group] = []

    def group(self, *titles: str, notes: tuple[Text, ...] = ()) -> None:
        """Another group; its notes stand below its titles, or behind them."""
        self._groups.append(_Group(titles, notes, []))

    def row(self, *cells: str | Text, remark: str = "", style: str = "") -> None:
        """Another row of the last group."""
        texts = tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells)
        self._groups[-1].rows.append(_Row(texts, remark, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(table: Table) -> bool:
            return Measurement.get(console, options.update(width=2**16), table).maximum <= options.max_width

        whole, narrow = self._whole(), self._narrow()
        if fits(whole):
            yield whole
            return
        lines = iter(console.render_lines(narrow, options, pad=False)) if fits(narrow) else None
        if lines:
            for _ in range(1 + max(head.count(" ") for head in self._heads)):
                yield from (*next(lines), Segment.line())
        for group in self._groups:
            if title := " · ".join(each for each in group.titles if each):
                yield Text.assemble((title, "bold"), "  " if group.notes else "", Text(", ").join(group.notes))
            for row in group.rows:
                if lines:
                    yield from (*next(lines), Segment.line())
                else:
                    yield Padding(self._sentence(row), (0, 0, 0, 2))
            for remark in dict.fromkeys(row.remark for row in group.rows if row.remark):
                names = ", ".join(row.cells[0].plain for row in group.rows if row.remark == remark)
                yield Padding(Text(f"{names}: {remark}", style="dim"), (0, 0, 0, 2))

    def _whole(self) -> Table:
        table = self._table(self._heads)
        remarked = any(row.remark for group in self._groups for row in group.rows)
        if remarked:
            table.add_column(no_wrap=True)
        for group in self._groups:
            notes = iter(Text.assemble("  ", note) for note in group.notes)
            for index, row in enumerate(group.rows):
                titles: tuple[str | Text, ...] = group.titles
                if index and not self._repeat:
                    titles = (next(notes, ""), *("" for _ in titles[1:]))
                table.add_row(*titles, *row.cells, *[Text(row.remark, style="dim")][:remarked], style=row.style)
            for note in notes:
                table.add_row(note)
        return table

    def _narrow(self) -> Table:
        """The rows without their groups' titles, each in one line."""
        label, *heads = self._heads[self._titles :]
        table = self._table((label, *(head.replace(" ", "\n") for head in heads)))
        for group in self._groups:
            for row in group.rows:
                label, *values = row.cells
                table.add_row(Text.assemble("  " if self._titles else "", label), *values, style=row.style)
        return table

    def _table(self, heads: Sequence[str]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            left = head.replace("\n", " ") in self._left
            table.add_column(Text(head), justify="left" if left else "right", no_wrap=True, vertical="bottom")
        return table

    def _sentence(self, row: _Row) -> Text:
        label, *values = row.cells
        heads = self._heads[self._titles + 1 :]
        facts = (Text.assemble(f"{head.lower()} ", value) for head, value in zip(heads, values, strict=True) if value)
        return Text.assemble(label, ": " if label else "", Text(", ").join(facts), style=row.style)


async def until_signalled(running: Coroutine[None, None, None]) -> bool:
    """Runs to its end, or until a signal asks for the end and it has ended in order; whether one did."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # anyio 4.16 answers a wait for a Unix socket that was cancelled in the same turn of the loop.
        if not (signalled.is_set() and isinstance(context.get("exception"), asyncio.InvalidStateError)):
            loop.default_exception_handler(context)

    loop.set_exception_handler(report)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled.set)
    work, waiting = asyncio.create_task(running), asyncio.create_task(signalled.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if signalled.is_set():
        work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return signalled.is_set()
