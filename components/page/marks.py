"""What the timeline marks: shares that moved, hosts left out and back again, faults, an engine that does not answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from components.page.delta import State
from components.plan.moves import shares_moved
from components.plan.plan import Plan

Kind = Literal["move", "fault", "well", "out", "back", "engine"]
"""`well`: a fault has ended; `back`: a host that was left out is asked again; `engine`: of Envoy itself."""

_KEPT = 200


@dataclass(frozen=True)
class Mark:
    """One of them."""

    kind: Kind
    text: str
    model: str = ""
    """Empty: it is about all models."""
    host: str = ""


class Marks:
    """The latest marks, each with a number of its own and the time (milliseconds since 1970)."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, Mark]] = deque(maxlen=_KEPT)
        self._number = 0

    def add(self, time: int, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self._number += 1
            self._kept.append((self._number, time, mark))

    def state(self) -> State:
        """By number; what is empty is left out."""
        return {
            str(number): {
                "at": time,
                "kind": mark.kind,
                "text": mark.text,
                **({"model": mark.model} if mark.model else {}),
                **({"host": mark.host} if mark.host else {}),
            }
            for number, time, mark in self._kept
        }


def moves(before: Plan, after: Plan) -> list[Mark]:
    """The models whose hosts changed."""
    marks: list[Mark] = []
    for line in shares_moved(before, after):
        model, _, what = line.partition(": ")
        marks.append(Mark("move", what, model))
    return marks


def health(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> list[Mark]:
    """The hosts, each of a model, that were left out or are back."""
    old, new = set(before), set(after)
    return [
        *(Mark("out", f"{host} is left out", model, host) for model, host in sorted(new - old)),
        *(Mark("back", f"{host} is back", model, host) for model, host in sorted(old - new)),
    ]


def faults(before: Mapping[str, str], after: Mapping[str, str]) -> list[Mark]:
    """The simulated hosts that were made to fail, or are well again; the values tell the kind of fault."""
    return [
        *(
            Mark("fault", f"{host} is made to fail: {kind}", host=host)
            for host, kind in sorted(after.items())
            if before.get(host) != kind
        ),
        *(Mark("well", f"{host} is well again", host=host) for host in sorted(before.keys() - after.keys())),
    ]
