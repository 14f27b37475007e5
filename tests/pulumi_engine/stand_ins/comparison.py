"""How pulumi-kubernetes compares an object with what a program says of it, and when it puts another one in its place.

As its source has it (4.32.0: pkg/provider/provider.go, `Diff`; pkg/provider/diff.go, `forceNewProperties`).  What is
compared is not what the program said before with what it says now: it is what the API server gave back, cut down to
what the program said before, with what it says now.  So whatever a server does not keep, an empty map of annotations,
is a difference for ever.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from corral.testing.recording import UNKNOWN, Secret, revealed, walk

Path = tuple[str | int, ...]

RELEASE = "kubernetes:helm.sh/v3:Release"

_OPTION: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kubernetes:core/v1:Secret": ("enableSecretMutable", ("type", "stringData", "data")),
    "kubernetes:core/v1:ConfigMap": ("enableConfigMapMutable", ("binaryData", "data")),
}
"""What the provider does not change in place unless this option of its is set, nor ever in an object that says
`immutable`.
"""

_FORCING: Mapping[str, tuple[str, ...]] = {
    "kubernetes:apps/v1:DaemonSet": ("spec.selector",),
    "kubernetes:apps/v1:Deployment": ("spec.selector",),
    "kubernetes:apps/v1:StatefulSet": (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    "kubernetes:batch/v1:Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "kubernetes:core/v1:PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    "kubernetes:core/v1:ResourceQuota": ("spec.scopes",),
    "kubernetes:core/v1:Secret": ("type",),
    "kubernetes:core/v1:Service": ("spec.clusterIP",),
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": ("roleRef",),
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": ("roleRef",),
    "kubernetes:storage.k8s.io/v1:StorageClass": ("parameters", "provisioner"),
}
"""What it never changes in place, besides name and namespace."""

_ABSENT = ("Pod", "PersistentVolume")
"""Kinds of which it changes next to nothing in place, and of which Corral makes none."""

_BUILT_IN = ("v1", "apps/", "autoscaling/", "batch/", "networking.k8s.io/", "policy/", "rbac.", "storage.k8s.io/")
"""How the versions of the API begin whose objects it has types for: it brings them into the form of those."""


def forcing(type_: str, inputs: Mapping[str, Any], options: Mapping[str, bool]) -> tuple[str, ...]:
    """The properties of an object that the provider, with these options, does not change in place."""
    if type_ == RELEASE:
        return ("name", "namespace")
    if type_.rpartition(":")[2] in _ABSENT:
        raise NotImplementedError(f"what pulumi-kubernetes does with a changed {type_} is not here yet")
    option, data = _OPTION.get(type_, ("", ()))
    fixed = data if option and (not options.get(option) or inputs.get("immutable")) else ()
    return ("metadata.name", "metadata.namespace", *_FORCING.get(type_, ()), *fixed)


def differences(live: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[Path, Any]:
    """Where an object is not as the program wants it, and what it wants there (None: nothing).

    `live`: as the API server gave it back; `before`, `now`: what the program said and says.
    """
    return dict(_differing(pruned(live, normalised(before)), normalised(now), ()))


def forced(changed: Mapping[Path, Any], fixed: tuple[str, ...]) -> set[Path]:
    """Those of the differences that touch what is not changed in place."""
    return {path for path, value in changed.items() if any(_touches(path, value, each.split(".")) for each in fixed)}


def pruned(live: Any, shape: Any) -> Any:
    """What lives, without what the shape has no place for."""
    match live, shape:
        case dict(), dict():
            return {key: pruned(value, shape[key]) for key, value in live.items() if key in shape}
        case list(), list():
            return [pruned(one, other) for one, other in zip(live, shape, strict=False)]
        case _:
            return live


def normalised(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a program says of an object, in the form in which an API server keeps it, as far as the provider knows that.

    It leaves alone what is not known yet, and objects of which it has no type: custom resources.
    """
    plain = revealed(inputs)
    if any(value is UNKNOWN for _, value, _ in walk(plain)):
        return plain
    if plain.get("kind") == "Secret":
        data = {key: base64.b64encode(value.encode()).decode() for key, value in plain.pop("stringData", {}).items()}
        return {**plain, "data": {**plain.get("data", {}), **data}} if data else plain
    if plain.get("kind") != "CustomResourceDefinition" and str(plain.get("apiVersion")).startswith(_BUILT_IN):
        return {**plain, "metadata": without_empty(plain.get("metadata", {}))}
    return plain


def without_empty(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """An object's metadata as an API server keeps them."""
    return {key: value for key, value in metadata.items() if value not in ({}, [])}


def _differing(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    match old, new:
        case dict(), dict():
            for key in sorted(old.keys() | new.keys()):
                yield from _of_part(old, new, key, key in old, key in new, path)
        case list(), list():
            for place in range(max(len(old), len(new))):
                yield from _of_part(old, new, place, place < len(old), place < len(new), path)
        case _:
            if old != new:
                yield path, new


def _of_part(old: Any, new: Any, key: Any, was: bool, is_: bool, path: Path) -> Iterator[tuple[Path, Any]]:
    if was and is_:
        yield from _differing(old[key], new[key], (*path, key))
    else:
        yield (*path, key), new[key] if is_ else None


def _touches(path: Path, value: Any, fixed: list[str]) -> bool:
    """Whether what changes lies in the fixed property, or has it in itself."""
    common = min(len(path), len(fixed))
    if list(path[:common]) != fixed[:common]:
        return False
    for key in fixed[common:]:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def secret_data(type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with all the data of a Secret marked as secret, as the provider does it."""
    marked = {key: Secret(revealed(inputs[key])) for key in ("data", "stringData") if key in inputs}
    return {**inputs, **marked} if type_.endswith(":Secret") else dict(inputs)
