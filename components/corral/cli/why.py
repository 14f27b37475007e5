"""`corral why`: which tenant, rule, weight, attempts, host and commit served a request, from the log and git."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.text import Text

from corral.catalog.load import load_catalog
from corral.cli.project import FOLDER, CommandError, StackOption, root, stack_file
from corral.cli.terminal import console, print_json
from corral.config.problems import ConfigError, missing_extra
from corral.config.read import read_stack
from corral.plan.build import build
from corral.plan.plan import Plan
from corral.plan.trace import UNKNOWN_COMMIT, LoggedRequest, find_request, model_hash, rule
from corral.repository import DIRTY, Commit, NoRevisionError, at_revision, commits

_MOST_COMMITS = 500
"""Of a stack file that are looked at, the newest first."""


@dataclass(frozen=True)
class Origin:
    """Where the plan of a request was found."""

    plan: Plan
    commit: Commit | None
    """None: it is that of the stack file as it is, which no commit has."""
    later: bool = False
    """Whether it was committed only after the request, which then met it before."""


def why(
    request: Annotated[str, typer.Argument(metavar="REQUEST-ID", help="The x-request-id of the answer.")],
    stack: StackOption = "local",
    log: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--log", metavar="FILE", help="The access log of a cluster's Envoys; - is standard input."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say which tenant, rule, weight, attempts, host and commit served a request.

    Of the local engine it reads the log on this machine.  Exit status 1 if the log has no such request.
    """
    served = find_request(log if log is not None else _local_log(stack), request)
    if served is None:
        where = "that log" if log is not None else f"the log of stack {stack} on this machine; of a cluster give --log"
        raise CommandError(f"Request {request} is not in {where}.")
    origin = _origin(stack_file(stack), served)
    facts = dict(_facts(served, origin))
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    out = console()
    for name, text in facts.items():
        out.print(Text.assemble((f"{name:<{width}}  ", "bold"), text), soft_wrap=True)


def _local_log(stack: str) -> Iterator[bytes]:
    try:
        from corral.local.state_folder import StateFolder
    except ImportError:
        raise CommandError(missing_extra("local", "corral why without --log")) from None
    folder = StateFolder.of(root(), stack)
    if not folder.requests.is_dir():
        raise CommandError(f"Stack {stack} has not been served on this machine; of a cluster give its log with --log.")
    yield from chain.from_iterable(map(_lines, (folder.current, *reversed(folder.ended()))))


def _lines(file: Path) -> Iterator[bytes]:
    opened: BinaryIO
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return
    with opened:
        yield from opened


def _facts(request: LoggedRequest, origin: Origin | None) -> Iterable[tuple[str, str]]:
    ended = f" after {request.duration_ms} ms" if request.duration_ms is not None else ""
    call = " ".join(each for each in (request.method, request.path) if each)
    yield "request", f"{request.id}, {request.time.isoformat(timespec='seconds')}: {call} → {request.status}{ended}"
    yield "tenant", request.tenant or "none: nobody was asked, or the caller is unknown"
    yield "model", request.model or "none that there is"
    yield "host", f"{request.host} as {request.host_model}" if request.host else "none answered"
    yield "attempts", _attempts(request)
    yield "plan", request.plan or "unknown: the log has none"
    yield "commit", _commit(request, origin)
    if request.host and request.model:
        planned = {each.name: each for each in origin.plan.models}.get(request.model) if origin else None
        yield "rule", rule(planned, origin.plan, request) if origin and planned else "unknown, as its plan is"


def _attempts(request: LoggedRequest) -> str:
    failed = [each for each in (request.failure, request.flags) if each and each != "-"]
    how = f", ended as {', '.join(failed)}" if failed else ""
    others = "; the log names the last host alone" if request.attempts > 1 else ""
    return f"{request.attempts}{how}{others}"


def _commit(request: LoggedRequest, origin: Origin | None) -> str:
    if request.plan is None:
        return "unknown, as the plan is"
    if origin is None:
        logged = "" if request.commit in (None, UNKNOWN_COMMIT) else f"; the log says {request.commit}"
        return f"unknown: the stack file has this plan in no commit and not now, read by this release{logged}"
    if origin.commit is None:
        return "none: this plan is that of the stack file as it is, which is not committed"
    later = ", committed after the request" if origin.later else ""
    return f"{origin.commit.sha}{later} ({origin.commit.title})"


def _origin(file: Path, request: LoggedRequest) -> Origin | None:
    """Where the stack file has the plan of the request: at the commit that the log says, at the newest before the
    request, at the oldest after it, or as it is; None: nowhere."""
    if request.plan is None or request.model is None:
        return None
    logged = request.commit if request.commit and not request.commit.endswith(DIRTY) else UNKNOWN_COMMIT
    try:
        history = commits(file)[:_MOST_COMMITS]
        before = [each for each in history if each.moment <= request.time]
        after = [each for each in reversed(history) if each.moment > request.time]
        first = [] if logged == UNKNOWN_COMMIT else commits(file, at=logged)
        for commit in (*first, *before, *after):
            text = at_revision(root(), f"{FOLDER}/{file.name}", commit.sha)
            if text is not None and (plan := _plan_of(text, file.name, request)):
                return Origin(plan, commit, later=commit.moment > request.time)
    except NoRevisionError:
        pass
    plan = _plan_of(file.read_text(encoding="utf-8"), file.name, request) if file.is_file() else None
    return Origin(plan, None) if plan else None


def _plan_of(text: str, name: str, request: LoggedRequest) -> Plan | None:
    """The plan of a stack file, if it is the request's; what this release cannot read is another."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        try:
            catalog = load_catalog()
            plan = build(read_stack(file, catalog), catalog)
        except ConfigError:
            return None
    has_it = any(model.name == request.model and model_hash(model, plan) == request.plan for model in plan.models)
    return plan if has_it else None
