"""`corral prices`: the lock file of prices, written and brought up to date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, TypeVar

import typer

from corral.catalog.catalog import Catalog
from corral.catalog.load import load_catalog
from corral.catalog.prices import CATALOG, GENAI_PRICES, HourPrice, PriceList, Released, TokenPrice
from corral.cli.project import FOLDER, root, stack_file, stacks, write_files
from corral.cli.tables import sums_text
from corral.cli.terminal import complain, console
from corral.config.prices import FILE, named_ids, read_prices, written
from corral.config.problems import ConfigError
from corral.config.read import read_stack
from corral.config.stack import Stack
from corral.plan.build import build
from corral.plan.money import dollars, sums

prices = typer.Typer(
    help="Write down what tokens and GPU nodes cost, in stacks/prices.lock.yaml, and bring it up to date.",
    no_args_is_help=True,
)

Entry = TypeVar("Entry", TokenPrice, HourPrice)


@prices.command("lock")
def lock() -> None:
    """Add the prices that are missing in stacks/prices.lock.yaml; those that are there stay as they are."""
    folder, catalog = root() / FOLDER, load_catalog()
    before = read_prices(folder)
    now = _released(catalog, [*_stacks(catalog)])
    old = before or PriceList()
    after = PriceList(tokens=_added(old.tokens, now.tokens), hours=_added(old.hours, now.hours))
    changed = [*_changes(old, after)]
    if before != after:
        write_files({folder / FILE: written(after)}, folder)
    name = f"{FOLDER}/{FILE}"
    typer.echo(f"{len(changed)} prices added to {name}: commit it" if changed else f"{name} has all that are known")


@prices.command("refresh")
def refresh(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
) -> None:
    """Bring the prices of stacks/prices.lock.yaml up to date, and say what changes for each stack.

    An entry with a source of your own stays as it is.
    """
    folder, catalog = root() / FOLDER, load_catalog()
    named, before = [*_stacks(catalog)], read_prices(folder) or PriceList()
    now = _released(catalog, named)
    after = PriceList(tokens=_renewed(before.tokens, now.tokens), hours=_renewed(before.hours, now.hours))
    out = console()
    for line in _changes(before, after):
        out.out(line, highlight=False)
    for stack in named:
        months = [sums(build(stack, catalog, prices)) for prices in (before, after)]
        old, new = map(sums_text, months)
        if any(months):
            out.out(
                f"{stack.name}: {old} → {new}" if old != new else f"{stack.name}: {old}, as before", highlight=False
            )
    if not dry_run and before != after:
        write_files({folder / FILE: written(after)}, folder)


def lock_text(catalog: Catalog, today: date) -> str:
    """The file of a project that is new."""
    return written(Released(catalog, today).whole(set()))


def _stacks(catalog: Catalog) -> Iterator[Stack]:
    """Those that can be read; of another it is said that it cannot."""
    for name in stacks():
        try:
            yield read_stack(stack_file(name), catalog)
        except ConfigError as error:
            complain(f"{stack_file(name)} cannot be read and is left out: {error.problems[0].message}")


def _released(catalog: Catalog, named: list[Stack]) -> PriceList:
    ids = {each for stack in named for each in named_ids(stack)}
    return Released(catalog, datetime.now(UTC).date()).whole(ids)


def _added(
    old: Mapping[str, Mapping[str, Entry]], now: Mapping[str, Mapping[str, Entry]]
) -> dict[str, dict[str, Entry]]:
    return {key: {**now.get(key, {}), **old.get(key, {})} for key in {*old, *now}}


def _renewed(
    before: Mapping[str, Mapping[str, Entry]], now: Mapping[str, Mapping[str, Entry]]
) -> dict[str, dict[str, Entry]]:
    """What the lists still have, as they have it now, and the operator's own."""
    own = {
        key: {name: entry for name, entry in entries.items() if not entry.source.startswith((GENAI_PRICES, CATALOG))}
        for key, entries in before.items()
    }
    return _added({key: entries for key, entries in own.items() if entries}, now)


def _changes(before: PriceList, after: PriceList) -> Iterator[str]:
    """One line for each price that came, went or is another."""
    for old, new in ((before.tokens, after.tokens), (before.hours, after.hours)):
        for key in sorted({*old, *new}):
            for name in sorted({*old.get(key, {}), *new.get(key, {})}):
                was, becomes = (side.get(key, {}).get(name) for side in (old, new))
                texts = [_written(each) if each else "none" for each in (was, becomes)]
                if texts[0] != texts[1]:
                    yield f"{key} {name}: {texts[0]} → {texts[1]}"


def _written(entry: TokenPrice | HourPrice) -> str:
    if isinstance(entry, TokenPrice):
        kept = "" if entry.cached_input is None else f", {dollars(entry.cached_input)} cached"
        return f"{dollars(entry.input)} in, {dollars(entry.output)} out{kept}"
    bought = (("on demand", entry.on_demand), ("spot", entry.spot), ("reserved", entry.reserved))
    return ", ".join(f"{dollars(price)} an hour {how}" for how, price in bought if price is not None)
