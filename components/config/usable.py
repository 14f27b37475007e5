"""What of a configuration can be looked at at all: what has a value, and a plain one.

A key without a value is refused rather than read as left out: `residency:` with its list commented out must not mean
“anywhere”.  An encrypted value (`{secure: v1:…}`) outside of `corral:keys` and `corral:tenantKeys` is refused because
one of them makes Pulumi treat the whole object around it as a secret, and everything that a plan needs must be plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from components.config.errors import Keys, Report

_DEEPEST = 32


def usable(value: Any, keys: Keys, report: Report) -> Any:
    """The value as plain lists and mappings; what cannot be looked at is reported and None."""
    if report.is_void(keys):
        return None
    if len(keys) > _DEEPEST:
        report.void(keys[:1], f"is nested deeper than {_DEEPEST} levels")
    elif value is None:
        report.void(keys, _no_value(keys))
    elif isinstance(value, list):
        return [usable(item, (*keys, place), report) for place, item in enumerate(cast("list[Any]", value))]
    elif isinstance(value, Mapping):
        if "secure" not in value:
            entries = cast("Mapping[str, Any]", value).items()
            return {str(key): usable(below, (*keys, str(key)), report) for key, below in entries}
        report.void(keys, "is encrypted, or named `secure`: secrets live under corral:keys, the rest is plain text")
    else:
        return value
    return None


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, or an empty mapping where it is none: that is said elsewhere."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _no_value(keys: Keys) -> str:
    last = keys[-1]
    if isinstance(last, str) and ":" in last and len(keys) > 1:
        return "has no value: a space belongs after the `:`"
    if len(keys) == 2 and keys[0] == "corral:hosts":
        return "has no value: write {} where there is nothing to say of the host"
    if len(keys) == 2 and keys[0] == "corral:tenants":
        return "has no value: write {} where there is nothing to say of the tenant"
    return "has no value: give it one or remove it"
