"""What providers were asked to do, in order: a file of JSON lines that several processes append to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Verb = Literal["create", "update", "delete", "read"]
Step = Literal["begun", "done", "failed"]


def type_in(urn: str) -> str:
    """The type token that a URN has in it."""
    return urn.split("::")[2].rpartition("$")[2]


def name_in(urn: str) -> str:
    """The logical name that a URN has in it."""
    return urn.split("::", 3)[3]


def kind_of(type_: str, inputs: Mapping[str, Any]) -> str:
    """Of a Kubernetes object its kind; of anything else the last word of its type."""
    return inputs["kind"] if "apiVersion" in inputs else type_.rpartition(":")[2]


@dataclass(frozen=True)
class Event:
    """A step of one operation on one resource."""

    verb: Verb
    step: Step
    urn: str
    inputs: Mapping[str, Any]
    """What the resource is given; of one that is deleted what it had."""

    @property
    def type(self) -> str:
        """The type token: `kubernetes:core/v1:Secret`."""
        return type_in(self.urn)

    @property
    def name(self) -> str:
        """The logical name."""
        return name_in(self.urn)

    @property
    def kind(self) -> str:
        """As `kind_of` has it."""
        return kind_of(self.type, self.inputs)


def append(file: Path, event: Event) -> None:
    """Adds one event; a line is written at once, so that those of several processes do not mix."""
    line = json.dumps(asdict(event), sort_keys=True) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class History:
    """All the events of some time, in the order in which they happened."""

    events: tuple[Event, ...]

    @classmethod
    def read(cls, file: Path) -> History:
        """All there is in the file; nothing where there is none."""
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return cls(tuple(Event(**json.loads(line)) for line in lines))

    def since(self, earlier: History) -> History:
        """What came after."""
        return History(self.events[len(earlier.events) :])

    def done(self, verb: Verb) -> list[tuple[str, str]]:
        """Kind and logical name of everything to which this was done, sorted."""
        return sorted((event.kind, event.name) for event in self.events if (event.verb, event.step) == (verb, "done"))

    def first(self, verb: Verb, step: Step, which: Callable[[Event], bool]) -> int:
        """When it happened first.  Raises ValueError if it never did."""
        return self._when(verb, step, which)[0]

    def last(self, verb: Verb, step: Step, which: Callable[[Event], bool]) -> int:
        """When it happened last.  Raises ValueError if it never did."""
        return self._when(verb, step, which)[-1]

    def _when(self, verb: Verb, step: Step, which: Callable[[Event], bool]) -> list[int]:
        places = [
            place
            for place, event in enumerate(self.events)
            if (event.verb, event.step) == (verb, step) and which(event)
        ]
        if not places:
            raise ValueError(f"there is no {verb} that is {step} and is asked for")
        return places
