"""Where what is declared, deployed and observed differ, read out of `pulumi preview --refresh --show-sames --json`.

Declared is what the program would have now, deployed what the state has from the last `up`, observed what the cluster
and the clouds answer.  Pulumi says all three in one run: the step that refreshes a resource begins at what was
deployed, and the step that plans it leads from what is observed to what is declared (seen of an engine 3.276).

Policy.  A resource that its provider finds as declared (`same`) is declared as it is observed, however the provider has
written it down.  A property is compared only where all that is known of it is plain: secrets, and what nobody knows
before the `up`, are never compared by value; where a provider finds a difference and nothing else shows it, the names
of the properties stand alone.  A list whose entries have names is compared by name, not by place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

Step = Mapping[str, Any]

_KEPT = ("same", "read", "refresh")
"""The operations that leave a resource as it is observed."""

_SECRET = "[secret]"  # noqa: S105
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What Pulumi writes for a value that only the `up` will give (UnknownStringValue of its sdk/go)."""

_ROUTE = ":AIGatewayRoute"
_BACKEND = ":AIServiceBackend"
_MODEL = "corral/model"
_WEIGHT = ".weight"
_BACKENDS = ".backendRefs."


@dataclass(frozen=True)
class Difference:
    """A resource, or a property of it, of which not all three are alike."""

    resource: str
    """As an operator calls it: `route of llama-3.3-70b`, `Secret corral/tenants`."""
    property: str
    """The path, or in a route `weight of <host>`; empty where the whole resource is meant."""
    declared: Any
    deployed: Any
    observed: Any


def differences(steps: Sequence[Step]) -> list[Difference]:
    """All of them, by resource, in the order of the steps."""
    refreshed = {step["urn"]: step for step in steps if step["op"] == "refresh"}
    planned: dict[str, list[Step]] = {}
    for step in steps:
        if step["op"] != "refresh":
            planned.setdefault(step["urn"], []).append(step)
    hosts = dict(_hosts(steps))
    return [
        each
        for urn in dict.fromkeys((*refreshed, *planned))
        for each in _of_resource(urn, refreshed.get(urn), planned.get(urn, []), hosts)
    ]


def _hosts(steps: Iterable[Step]) -> Iterator[tuple[str, str]]:
    """The host behind each AIServiceBackend, by the name that it has on the cluster."""
    for step in steps:
        state: Mapping[str, Any] = step.get("oldState") or step.get("newState") or {}
        if str(state.get("type")).endswith(_BACKEND):
            yield state["inputs"]["metadata"]["name"], step["urn"].rpartition("::")[2].split("/")[1]


def _state(steps: Iterable[Step], which: str) -> Mapping[str, Any] | None:
    """The first one that there is: a replacement is planned in several steps."""
    return next((step[which] for step in steps if step.get(which)), None)


def _is_ours(state: Mapping[str, Any]) -> bool:
    """Whether the program makes it: no component, which has nothing of its own, and nothing that is only looked up."""
    return bool(state.get("custom")) and not state.get("external")


def _of_resource(
    urn: str, refresh: Step | None, plans: Sequence[Step], hosts: Mapping[str, str]
) -> Iterator[Difference]:
    of = (_state(plans, "newState"), _state([refresh] if refresh else (), "oldState"), _state(plans, "oldState"))
    state = next((each for each in of if each), None)
    if state is None or not _is_ours(state):
        return
    declared, deployed, observed = (each and each["inputs"] for each in of)
    kept = all(step["op"] in _KEPT for step in plans)
    name = _called(urn, state["inputs"])
    if declared is None or deployed is None or observed is None:
        if not (declared is deployed is observed):
            yield Difference(name, "", *(None if each is None else "there" for each in (declared, deployed, observed)))
        return
    leaves = [dict(_leaves(each)) for each in (observed if kept else declared, deployed, observed)]
    paths = dict.fromkeys(path for each in leaves for path in each)
    values = {path: [each.get(path) for each in leaves] for path in paths}
    differing = {path: each for path, each in values.items() if _differ(each)}
    for path, each in differing.items():
        yield Difference(name, _property(path, hosts), *each)
    if not kept and not differing:
        for path in next((step["diffReasons"] for step in plans if step.get("diffReasons")), [""]):
            yield Difference(name, path, "another", "one", "one")


def _differ(values: Sequence[Any]) -> bool:
    """Whether plain values differ."""
    plain = all(value not in (_SECRET, _UNKNOWN) for value in values)
    return plain and any(value != values[0] or type(value) is not type(values[0]) for value in values[1:])


def _called(urn: str, inputs: Mapping[str, Any]) -> str:
    metadata: Mapping[str, Any] = inputs.get("metadata") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    if urn.split("::")[2].endswith(_ROUTE) and (model := annotations.get(_MODEL)):
        return f"route of {model}"
    if "kind" in inputs and "name" in metadata:
        place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
        return f"{inputs['kind']} {place}{metadata['name']}"
    return f"{urn.split('::')[2].rpartition(':')[2]} {urn.split('::', 3)[3]}"


def _property(path: str, hosts: Mapping[str, str]) -> str:
    _, backends, backend = path.removesuffix(_WEIGHT).partition(_BACKENDS)
    return f"weight of {hosts.get(backend, backend)}" if backends and path.endswith(_WEIGHT) else path


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf and its path; an empty mapping or list is none, as no API server keeps one."""
    match value:
        case Mapping():
            for key, below in cast("Mapping[str, Any]", value).items():
                yield from _leaves(below, f"{path}.{key}".removeprefix("."))
        case list():
            entries = cast("list[Any]", value)
            names = [
                cast("Mapping[str, Any]", each).get("name") if isinstance(each, Mapping) else None for each in entries
            ]
            by_name = None not in names and len({*map(str, names)}) == len(names)
            for place, below in enumerate(entries):
                yield from _leaves(below, f"{path}.{names[place]}" if by_name else f"{path}[{place}]")
        case None:
            return
        case _:
            yield path, value
