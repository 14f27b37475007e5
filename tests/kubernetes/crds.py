"""The custom resource definitions, for tests that need them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from corral.testing.schemas import definitions

needed = pytest.mark.skipif(
    not definitions(), reason="no custom resource definitions: name their folder in CORRAL_CRDS"
)


def widened() -> list[dict[str, Any]]:
    """The definitions as an API server of Kubernetes 1.36 takes them.

    A number that its format has no room for is of a larger one, as Envoy Gateway has it since 1.8.2: that server takes
    no object that has such a number.
    """
    return [_widened(definition) for definition in definitions()]


def _widened(schema: Any) -> Any:
    """The schema with `int64` for `int32` where the maximum says so."""
    match schema:
        case {"format": "int32", "maximum": int(most)} if most >= 2**31:
            return {**schema, "format": "int64"}
        case dict():
            return {key: _widened(below) for key, below in cast("dict[str, Any]", schema).items()}
        case list():
            return [_widened(below) for below in cast("list[Any]", schema)]
        case _:
            return schema
