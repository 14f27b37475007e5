"""rolter, a gateway in Rust from PyPI: weights, hosts' own ids and keys; it asks callers for a virtual key."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.environment import python_environment
from bench.gateways.gateway import MODEL, Gateway
from bench.hosts import Hosts, key, model_id
from bench.process import listens, running
from corral.local.envoy_process import claim_port

VERSION = "0.1.0"
_KEY = "sk-of-the-bench"


def _table(name: str, /, **values: object) -> str:
    """A table of TOML, whose plain values are written as JSON's."""
    return "\n".join((f"[{name}]", *(f"{field} = {json.dumps(value)}" for field, value in values.items()), ""))


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Serves one model.  Raises UnavailableError."""
    programs = await python_environment("rolter", f"rolter=={VERSION}")
    port, file = claim_port("127.0.0.1", 0), folder / "rolter.toml"
    variables = {host: f"KEY_OF_{host.upper()}" for host in shares}
    tables = [
        _table("server", host="127.0.0.1", port=port),
        *(
            _table(
                "[providers]",
                name=host,
                kind="openai_compatible",
                api_base=hosts.url(host),
                api_key_env=variables[host],
            )
            for host in shares
        ),
        _table("[routes]", model=MODEL, strategy="weighted"),
        *(
            _table("[routes.targets]", provider=host, model=model_id(host, MODEL), weight=share)
            for host, share in shares.items()
        ),
        _table("[virtual_keys]", key=_KEY, name="bench", models=[]),
    ]
    file.write_text("\n".join(tables))
    keys = {variables[host]: key(host) for host in shares}
    command = (programs / "rolter", "gateway", "--config", file)
    async with running("rolter", command, folder, lambda: listens(port), variables=keys) as process:
        yield Gateway(port, f"rolter {VERSION}", process, {"authorization": f"Bearer {_KEY}"})
