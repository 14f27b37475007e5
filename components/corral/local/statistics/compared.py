"""How a candidate answers the copies of requests, beside the hosts that served them: in numbers, for no text is kept.

Policy.  Each pair counts: a request that was answered, or was not, and its copy.  The candidate is worse where it
answers less of them, by more than a point of a hundred; where it takes half as long again for the first byte of a
stream, or for an answer that is not streamed, in one of twenty; where less of what is to be JSON is, by more than a
point; or where more than one of twenty calls other tools, or with other arguments, of the requests at temperature 0 of
which not even the host that serves may answer differently.  How long answers are is told, and judged by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pydantic.dataclasses
from pydantic import TypeAdapter, ValidationError

from corral.local.statistics.request_log import Window

_POINT = 0.01
_SLOWER = 1.5
_CALLED_ALIKE = 0.95


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """One side of a pair: a line that the module has written."""

    id: str
    model: str
    host: str
    copy: bool
    stream: bool
    time: int
    """When it began, in milliseconds since 1970."""
    status: int
    """0: the answer did not come whole."""
    duration_ms: int
    first_byte_ms: int | None = None
    output_tokens: int | None = None
    json: bool | None = None
    """Whether what was to be JSON is; None: it was not to be, or was not looked at (a stream)."""
    calls: str | None = None
    """Which tools it calls, with what, as a number; None: it may not, or not at temperature 0, or was not looked at."""

    @property
    def whole(self) -> bool:
        return self.status == 200


Pair = tuple[Answered, Answered]
"""The request as it was served, and its copy."""

_LINE = TypeAdapter(Answered)


def pairs(file: Path, model: str, window: Window) -> list[Pair]:
    """Those of which both sides are there.  Raises FileNotFoundError: nothing was ever copied."""
    served, copies = dict[str, Answered](), dict[str, Answered]()
    for each in _read(file):
        if each.model == model and window.holds(datetime.fromtimestamp(each.time / 1000, UTC)):
            (copies if each.copy else served)[each.id] = each
    return [(served[request], copy) for request, copy in copies.items() if request in served]


def _read(file: Path) -> Iterator[Answered]:
    older = file.with_name(f"{file.name}.older")
    lines = older.read_bytes().splitlines() if older.exists() else []
    for line in (*lines, *file.read_bytes().splitlines()):
        with suppress(ValidationError):  # of a disk that was full
            yield _LINE.validate_json(line)


@dataclass(frozen=True)
class Side:
    """All requests of one side; what there is none of is None."""

    hosts: tuple[str, ...]
    answered: float
    """The part of them whose answer came whole."""
    first_byte_p95: int | None
    """Of streams, milliseconds."""
    duration_p50: int | None
    """Of answers that are not streamed, milliseconds."""
    duration_p95: int | None
    output_tokens: int | None
    """Those of an answer: half of the answers have more."""
    json: float | None
    """The part of what is to be JSON that is."""


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the hosts that served."""

    model: str
    requests: int
    served: Side
    candidate: Side
    called_alike: float | None
    """The part of the requests that may call tools, at temperature 0, for which both called the same ones."""
    worse: tuple[str, ...]
    """In what the candidate is worse, as clauses."""


def compare(model: str, paired: Iterable[Pair]) -> Comparison:
    """Of at least one pair."""
    both = [*paired]
    served, candidate = _side([old for old, _ in both]), _side([new for _, new in both])
    calls = [old.calls == new.calls for old, new in both if old.calls is not None and new.calls is not None]
    alike = sum(calls) / len(calls) if calls else None
    return Comparison(model, len(both), served, candidate, alike, tuple(_worse(served, candidate, alike)))


def _side(answers: list[Answered]) -> Side:
    whole = [each for each in answers if each.whole]
    durations = [each.duration_ms for each in whole if not each.stream]
    json = [each.json for each in whole if each.json is not None]
    return Side(
        hosts=tuple(sorted({each.host for each in answers if each.host})),
        answered=len(whole) / len(answers),
        first_byte_p95=_quantile([each.first_byte_ms for each in whole if each.stream], 95),
        duration_p50=_quantile(durations, 50),
        duration_p95=_quantile(durations, 95),
        output_tokens=_quantile([each.output_tokens for each in whole], 50),
        json=sum(json) / len(json) if json else None,
    )


def _quantile(values: Iterable[int | None], percent: int) -> int | None:
    """The value that so many of a hundred do not exceed."""
    ordered = sorted(value for value in values if value is not None)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _worse(served: Side, candidate: Side, called_alike: float | None) -> Iterator[str]:
    if candidate.answered < served.answered - _POINT:
        yield "answers less of them"
    for what, old, new in (
        ("is slower to begin a stream", served.first_byte_p95, candidate.first_byte_p95),
        ("is slower to answer", served.duration_p95, candidate.duration_p95),
    ):
        if old is not None and new is not None and new > _SLOWER * old:
            yield what
    if served.json is not None and candidate.json is not None and candidate.json < served.json - _POINT:
        yield "gives JSON less often"
    if called_alike is not None and called_alike < _CALLED_ALIKE:
        yield "calls other tools"
