"""What a program registered, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True)
class Secret:
    """A value that the program marked as secret; no text shows what it is."""

    value: Any = field(repr=False)


class Unknown:
    """A value that only a provider can give."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Recorded:
    """One resource as the program registered or read it."""

    urn: str
    type: str
    """The type token: `kubernetes:core/v1:Secret`."""
    name: str
    """The logical name."""
    parent: str
    """The parent's URN."""
    custom: bool
    """False for a component."""
    read: bool
    """Whether it exists already and is only looked up."""
    inputs: Mapping[str, Any]
    """Plain data under the provider's own names; secrets as `Secret`, what only a provider knows as `UNKNOWN`."""
    dependencies: frozenset[str]
    """URNs of everything it depends on, explicitly or through an input."""
    uses: frozenset[str]
    """URNs of the resources whose outputs are among its inputs, and of its provider."""
    provider: str = ""
    """URN and id of its provider; empty: the default one, or none."""
    protect: bool = False
    aliases: tuple[str, ...] = ()
    """URNs that it had before."""
    replace_on_changes: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    delete_timeout: str = ""
    """As Pulumi writes it, `1265s`; empty: Pulumi's own."""


@dataclass(frozen=True)
class World:
    """Everything that one run of a program registered."""

    stack: str
    """The URN of the stack itself."""
    resources: tuple[Recorded, ...]
    """In order of URN; a URN that was registered twice stands there twice."""
    outputs: Mapping[str, Any]
    """What the program exports; secrets as `Secret`."""
    component_outputs: Mapping[str, Mapping[str, Any]]
    """Per URN of a component what it gave to `register_outputs`."""
    orphans: tuple[tuple[str, str], ...]
    """The resources that a component made and did not make its children: `type name`, and the component's type."""
    messages: tuple[tuple[str, str], ...]
    """What the program logged: level (`warning`, `info` …) and text."""
    unchecked: tuple[str, ...] = ()
    """The kinds of Kubernetes objects of which no schema is at hand, as `apiVersion/kind`."""

    def of_type(self, type_: str) -> tuple[Recorded, ...]:
        """The resources whose type token is this one, or ends in it (`core/v1:Secret`, `Secret`)."""
        ends = (f":{type_}", f"/{type_}")
        return tuple(each for each in self.resources if each.type == type_ or each.type.endswith(ends))

    def __getitem__(self, name: str) -> Recorded:
        """The only resource of this logical name.  Raises KeyError where there is none, or more than one."""
        resources = [each for each in self.resources if each.name == name]
        if len(resources) != 1:
            raise KeyError(f"{len(resources)} resources are called {name!r}: {sorted(each.type for each in resources)}")
        return resources[0]


NO_RESOURCES = World("", (), {}, {}, (), ())
"""The world of a stack that no program provisions."""


def walk(value: Any, path: str = "", *, secret: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Every leaf of plain data: its path (`spec.rules[0].name`), its value, and whether it lies in a secret.

    An empty mapping or list is a leaf.
    """
    match value:
        case Secret():
            yield from walk(value.value, path, secret=True)
        case Mapping() if value:
            for key, below in cast("Mapping[str, Any]", value).items():
                yield from walk(below, f"{path}.{key}".removeprefix("."), secret=secret)
        case list() if value:
            for place, below in enumerate(cast("list[Any]", value)):
                yield from walk(below, f"{path}[{place}]", secret=secret)
        case _:
            yield path, value, secret


def revealed(value: Any) -> Any:
    """The same data with secrets in the open: for a schema to check, never to be shown."""
    match value:
        case Secret():
            return revealed(value.value)
        case Mapping():
            return {key: revealed(below) for key, below in cast("Mapping[str, Any]", value).items()}
        case list():
            return [revealed(below) for below in cast("list[Any]", value)]
        case _:
            return value
