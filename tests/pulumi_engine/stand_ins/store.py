"""What a stand-in for a provider keeps, in the folder that `CORRAL_STAND_INS` names, beside those of other providers.

kept/<hash>.json    a resource that is there
history.jsonl       all that was done
faults.json         what is to fail: [{"what": "create", "kind": "Deployment", "name": "vllm-…"}, …]
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.pulumi_engine.history import Event, append, kind_of, name_in

FOLDER = "CORRAL_STAND_INS"


@dataclass(frozen=True)
class Thing:
    """A resource that is there."""

    package: str
    type: str
    id: str
    urn: str
    inputs: Mapping[str, Any]
    """What it was given, in the open."""
    outputs: Mapping[str, Any]
    """As they went over the wire."""

    @property
    def kind(self) -> str:
        """As `kind_of` has it."""
        return kind_of(self.type, self.inputs)

    @property
    def name(self) -> str:
        """The logical name."""
        return name_in(self.urn)


class Store:
    """The things of all providers, of which each changes its own only."""

    def __init__(self, folder: Path) -> None:
        self.history = folder / "history.jsonl"
        self._faults = folder / "faults.json"
        self._kept = folder / "kept"
        self._kept.mkdir(parents=True, exist_ok=True)

    @classmethod
    def of_environment(cls) -> Store:
        """The one that the environment names."""
        return cls(Path(os.environ[FOLDER]))

    def things(self) -> Iterator[Thing]:
        """Everything that is there now."""
        for file in sorted(self._kept.glob("*.json")):
            try:
                yield Thing(**json.loads(file.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue

    def get(self, package: str, type_: str, id_: str) -> Thing | None:
        """The thing of that id; None where there is none."""
        file = self._file(package, type_, id_)
        return Thing(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None

    def put(self, thing: Thing) -> None:
        """Keeps a thing, new or changed."""
        file = self._file(thing.package, thing.type, thing.id)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(asdict(thing), sort_keys=True), encoding="utf-8")
        new.replace(file)

    def remove(self, package: str, type_: str, id_: str) -> None:
        """Forgets a thing, which may be gone already."""
        self._file(package, type_, id_).unlink(missing_ok=True)

    def note(self, event: Event) -> None:
        """Writes down what happens."""
        append(self.history, event)

    def set_faults(self, faults: list[dict[str, str]]) -> None:
        """From now on these fail, and nothing else."""
        self._faults.write_text(json.dumps(faults), encoding="utf-8")

    def fails(self, what: str, event: Event) -> bool:
        """Whether this is to fail; `what` is a verb, `ready` for what is made and never gets ready, or `hang`."""
        return self.is_faulty(what, event.kind, event.name)

    def is_faulty(self, what: str, kind: str, name: str) -> bool:
        """Whether there is such a fault; `accept` is of what a controller refuses."""
        faults: list[dict[str, str]] = json.loads(self._faults.read_text()) if self._faults.exists() else []
        step = {"what": what, "kind": kind, "name": name}
        return any(all(step[key] == wanted for key, wanted in fault.items()) for fault in faults)

    def _file(self, package: str, type_: str, id_: str) -> Path:
        return self._kept / f"{sha256(f'{package}|{type_}|{id_}'.encode()).hexdigest()[:32]}.json"
