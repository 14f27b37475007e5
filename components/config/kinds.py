"""The kind of each host: said by `kind`, or by the host's own name where the catalog has an entry of that name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from components.catalog.catalog import Catalog
from components.config.errors import Report
from components.config.names import correction, nearest
from components.config.usable import mapping

OPENAI = "openai"
"""The kind of a host the catalog does not know: any OpenAI-compatible URL."""

NEEDED = {"url": "https://llm.lab.example.com/v1", "models": "{llama-3.3-70b: Llama-3.3-70B}"}
"""What only the stack can say of such a host, with examples."""


def kinds(catalog: Catalog) -> tuple[str, ...]:
    return tuple(sorted({*catalog.hosts, OPENAI}))


def with_kinds(hosts: Mapping[str, Any], catalog: Catalog, report: Report) -> dict[str, Any]:
    """The hosts, each with its kind.

    A kind that cannot be told is reported and guessed, so that the rest of the host can be looked at.
    """
    return {name: _with_kind(name, host, catalog, report) for name, host in hosts.items()}


def _with_kind(name: str, host: Any, catalog: Catalog, report: Report) -> Any:
    if not isinstance(host, Mapping):
        return host
    said = {"kind": name if name in kinds(catalog) else None, **mapping(cast("Any", host))}
    kind, keys = said["kind"], ("corral:hosts", name)
    if kind is None and not report.is_void((*keys, "kind")):
        report.add(keys, _no_kind(name, catalog))
        return {**said, "kind": nearest(name, catalog.hosts) or OPENAI}
    if isinstance(kind, str) and kind not in kinds(catalog):
        report.add((*keys, "kind"), f"no such kind{correction(kind, kinds(catalog))}")
        return {**said, "kind": nearest(kind, kinds(catalog)) or OPENAI}
    if kind == OPENAI:
        for needed, example in NEEDED.items():
            if said.get(needed, {}) == {}:
                report.add((*keys, needed), f"is needed by kind {OPENAI}, for instance {example}")
    return said


def _no_kind(name: str, catalog: Catalog) -> str:
    near = nearest(name, catalog.hosts)
    meant = f"did you mean {near}? If not, " if near else ""
    return (
        f"no host of that name is in the catalog: {meant}add `kind: {OPENAI}` with its url and models, "
        f"or the kind it is of ({', '.join(kinds(catalog))})"
    )
