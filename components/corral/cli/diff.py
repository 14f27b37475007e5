"""`corral diff`: what an edit of a stack would do before it is deployed, as text that can go into a pull request."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corral.cli.project import FOLDER, StackOption, root, stack_file
from corral.cli.tables import issuer_line, sums_text, tenant_lines
from corral.cli.terminal import complain, console, print_json
from corral.config.prices import FILE as PRICES
from corral.config.problems import ConfigError, listed, number, size, span
from corral.plan.capacity import HeadroomMove, Verdict
from corral.plan.diff import LimitMove, ModelMove, Move, Side
from corral.plan.money import Blended, Monthly, Unpriced, dollars, dollars_and_cents
from corral.plan.plan import Plan, SessionHeader
from corral.repository import NoRevisionError, at_revision

if TYPE_CHECKING:  # Pulumi is loaded where it is needed
    from corral.testing.changes import Change, Changes
    from corral.testing.stacks import Comparison, Version

_NAMED = 3
"""How many of a resource's properties, and of the resources that follow, are named."""

_NOTHING = "none"


def comparison_text(comparison: Comparison, before: str, after: str) -> str:
    """`before` and `after` name the two versions."""
    paragraphs = [
        f"{before} → {after}",
        *("\n".join(model_lines(model)) for model in comparison.move.models),
        "\n".join(_limit(limit) for limit in comparison.move.limits),
        *("\n".join(tenant_lines(tenant)) for tenant in comparison.move.tenants),
        "\n".join(issuer_line(issuer) for issuer in comparison.move.issuers),
        *("\n".join(_headroom(each)) for each in comparison.headroom),
        _sums(comparison.move),
        "" if comparison.move else "No traffic moves.",
        "\n".join(_resources(comparison)),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _headroom(move: HeadroomMove) -> Iterator[str]:
    yield f"peak of {move.model}"
    for use in move.used:
        sides = (f"{each}%" if each is not None else _NOTHING for each in (use.before, use.after))
        yield f"  {use.host} uses {_moved(*sides)} of what it takes"
    for case in move.cases:
        lost = f"without {case.lost}" if case.lost else "with all hosts"
        yield f"  {lost}: {_moved(_carried(case.before), _carried(case.after))}"


def _carried(verdict: Verdict | None) -> str | None:
    return {"carries": "carried", "does not": "not carried", "unknown": "unknown whether carried"}.get(verdict or "")


def _sums(move: Move) -> str:
    """What all of it costs a month, where anything of a model or of the sums is another."""
    if not (move.before or move.after) or not (move.models or move.costs_otherwise):
        return ""
    return f"all of it: {_moved(*(sums_text(side) if side else None for side in (move.before, move.after)))}"


def model_lines(model: ModelMove) -> Iterator[str]:
    """A model's move: its name, and below it what is different."""
    yield model.model if model.change == "changed" else f"{model.model} ({model.change})"
    width = max(len("fallback"), *(len(share.host) for share in model.shares), 0)
    for share in model.shares:
        moved = f"{share.before}%" if share.before == share.after else f"{share.before}% → {share.after}%"
        yield f"  {share.host:<{width}}  {moved}"
    for what, text in _facts(model):
        yield f"  {what:<{width}}  {text}"
    for each in model.ids:
        yield f"  {each.host} is called by another id: {each.before} → {each.after}"


def _facts(model: ModelMove) -> Iterator[tuple[str, str]]:
    yield "fallback", _moved(_fallback(model.before), _fallback(model.after))
    yield "price", f"{_moved(_price(model.before), _price(model.after))} per million tokens"
    volume = model.after.volume if model.after else None
    if months := _moved(_month(model.before), _month(model.after)):
        yield "month", f"{months}{f' for {number(volume)} tokens' if volume else ''}"
    if places := [*_places("+", model.gained, model.gained_unknown), *_places("-", model.lost, model.lost_unknown)]:
        yield "places", ", ".join(places)
    if affinity := _moved(_affinity(model.before), _affinity(model.after)):
        moved = model.sessions_moved
        lost = f", {moved}% of the sessions change their host and lose its cache" if moved is not None else ""
        yield "affinity", f"{affinity}{lost}"


def _moved(before: str | None, after: str | None) -> str:
    """`one → other`, or the one that there is."""
    return " → ".join(dict.fromkeys(each for each in (before, after) if each))


def _fallback(side: Side | None) -> str | None:
    return side and (", then ".join(side.fallback) or _NOTHING)


def _affinity(side: Side | None) -> str | None:
    affinity = side and side.affinity
    return f"by {affinity.header}" if isinstance(affinity, SessionHeader) else affinity and f"by {affinity}"


def _price(side: Side | None) -> str | None:
    match side and side.price:
        case Blended(input=prompt, output=answer):
            return dollars(prompt) if prompt == answer else f"{dollars(prompt)} in and {dollars(answer)} out"
        case Unpriced(hosts=hosts):
            return f"unknown (at {listed(hosts, 'and')})" if hosts else "unknown"
        case _:
            return None


def _month(side: Side | None) -> str | None:
    match side and side.month:
        case Monthly(least=least, most=most):
            return " to ".join(dict.fromkeys((dollars_and_cents(least), dollars_and_cents(most))))
        case Unpriced():
            return "unknown"
        case _:
            return None


def _places(sign: str, regions: Iterable[str], hosts: Iterable[str]) -> Iterator[str]:
    for region in regions:
        yield f"{sign} {region}"
    for host in hosts:
        yield f"{sign} unknown ({host})"


def _limit(limit: LimitMove) -> str:
    say = size if limit.name.endswith("limit") else span
    return f"{limit.name.replace('_', ' ')}: {say(limit.before)} → {say(limit.after)}"


def _resources(comparison: Comparison) -> Iterator[str]:
    if comparison.resources is None:
        why = "something cannot be read" if comparison.unreadable else "a version is refused"
        yield f"Which resources change is not known, because {why}:"
        yield from (f"  {reason}" for reason in (*comparison.unreadable, *comparison.refused))
    elif not comparison.resources:
        yield "No resource changes."
    else:
        yield f"Resources: {_counted(comparison.resources)}"
        for sign, each in _signed(comparison.resources):
            properties = f": {_first(_kinds(each.properties))}" if each.properties else ""
            yield f"  {sign:<2} {each.type} {each.name}{properties}"
        if follow := comparison.resources.follow:
            names = _first([f"{each.type} {each.name}" for each in follow])
            yield f"What uses those that are replaced follows them, updated or replaced as well: {len(follow)} more"
            yield f"  {names}"


def _counted(resources: Changes) -> str:
    counts = {
        "to create": len(resources.create),
        "to update": len(resources.update),
        "to replace": len(resources.replace),
        "to delete": len(resources.delete),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _signed(resources: Changes) -> Iterator[tuple[str, Change]]:
    for sign, each in (
        ("+", resources.create),
        ("~", resources.update),
        ("+-", resources.replace),
        ("-", resources.delete),
    ):
        yield from ((sign, change) for change in each)


def _kinds(paths: Sequence[str]) -> list[str]:
    """Paths without the places in lists, each once: `spec.rules[].backendRefs[].weight`."""
    return [*dict.fromkeys(re.sub(r"\[[0-9]+\]", "[]", path) for path in paths)]


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


DIFFERENT, UNREADABLE = 1, 2


def diff(
    stack: StackOption = "local",
    against: Annotated[
        str, typer.Option("--against", metavar="REVISION", help="The git revision to compare the working copy with.")
    ] = "HEAD",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what the edits of a stack file would move, and which resources they would touch.

    Needs no engine, no cloud account and no network.  It runs Corral's own program: what you have added to yours is not
    foreseen, and of what follows from a replaced resource only which resources it concerns.

    Exit status 0 if nothing differs, 1 if something does or may, 2 if something cannot be read: one of the two
    versions, or a file that a version names.
    """
    from corral.testing.stacks import compare, read_version

    file = stack_file(stack)
    shown = f"{against}:{FOLDER}/{file.name}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            before = _version_at(against, file.name, Path(folder), shown)
        except NoRevisionError as why:
            complain(f"{why}.")
            raise typer.Exit(UNREADABLE) from None
        after = read_version(file) if file.exists() or before is None else None
        comparison = compare(before, after, datetime.now(UTC).date())
    if as_json:
        print_json(comparison)
    else:
        names = (before.shown if before else "no stack", after.shown if after else "no stack")
        console().out(comparison_text(comparison, *names), highlight=False)
    if comparison.unreadable:
        raise typer.Exit(UNREADABLE)
    if comparison:
        raise typer.Exit(DIFFERENT)


def _version_at(revision: str, name: str, folder: Path, shown: str) -> Version | None:
    """The stack file as the revision has it, in the folder, with the files that it names; None: it is not there."""
    from corral.testing.stacks import read_version

    text = at_revision(root(), f"{FOLDER}/{name}", revision)
    if text is None:
        return None
    (folder / FOLDER).mkdir()
    file = folder / FOLDER / name
    file.write_text(text, encoding="utf-8")
    if prices := at_revision(root(), f"{FOLDER}/{PRICES}", revision):
        (file.parent / PRICES).write_text(prices, encoding="utf-8")
    try:
        version = read_version(file, shown=shown)
    except ConfigError as error:
        raise ConfigError([replace(problem, file=shown) for problem in error.problems]) from None
    for path in {normpath(f"{FOLDER}/{named}") for named in _files(version.plan)}:
        content = at_revision(root(), path, revision)
        if content is None and (root() / path).is_file():  # one that git does not keep
            content = (root() / path).read_text(encoding="utf-8")
        if content is not None and (folder / path).resolve().is_relative_to(folder.resolve()):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
    return version


def _files(plan: Plan) -> Iterator[str]:
    """The files that a plan names beside its stack file; one with an absolute path is where it is."""
    named = [target.ca for _, target in plan.targets]
    named += [issuer.jwks_file for issuer in plan.issuers]
    yield from (path for path in named if path and not Path(path).is_absolute())
