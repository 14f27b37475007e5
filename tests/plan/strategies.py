"""Stacks as hypothesis draws them, in the shape of the YAML."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from tests.plan.world import HOSTS, LLAMA, SCOUT

_REGIONS = ["us", "us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu", "eu-west-1"]

_REGION_SETS = st.lists(st.sampled_from(_REGIONS), min_size=1, max_size=4, unique=True)


@st.composite
def _shares(draw: st.DrawFn, names: list[str]) -> dict[str, int]:
    """Shares of some of the hosts that sum to 100, drained ones among them."""
    hosts = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(hosts) - 1, max_size=len(hosts) - 1)))
    bounds = [0, *cuts, 100]
    return {host: after - before for host, before, after in zip(hosts, bounds, bounds[1:], strict=False)}


@st.composite
def _host(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A host as in the test world, now and then with more said of it."""
    said: dict[str, Any] = {"kind": name, **HOSTS[name]}
    if draw(st.booleans()):
        said["regions"] = draw(_REGION_SETS)
    if draw(st.booleans()):
        more: dict[str, Any] = {"id": draw(st.sampled_from(["meta.llama3-3-v1:0", "mine", "us.meta.llama3-3"]))}
        if draw(st.booleans()):
            more["reaches"] = draw(_REGION_SETS)
        said["models"] = said.get("models", {}) | {LLAMA: more}
    return said


@st.composite
def _model(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "shares": draw(_shares(names)),
        "fallback": draw(st.lists(st.sampled_from(names), unique=True)),
    }
    if draw(st.booleans()):
        said["residency"] = draw(_REGION_SETS)
    return said


@st.composite
def _tenant(draw: st.DrawFn, models: list[str]) -> dict[str, Any]:
    """A tenant that may call some of the models, or all; now and then within some regions only."""
    said: dict[str, Any] = {"perModel": {model: {"tokensPerMinute": 1_000} for model in models}}
    if draw(st.booleans()):
        said["models"] = draw(st.lists(st.sampled_from(models), min_size=1, unique=True))
    if draw(st.booleans()):
        said["residency"] = draw(_REGION_SETS)
    return said


@st.composite
def stacks(draw: st.DrawFn, *, serving: bool = False) -> dict[str, Any]:
    """A stack; `serving`: every host it names for a model serves the model."""
    names = sorted({*HOSTS} - ({"meta"} if serving else set()))
    models = {LLAMA: draw(_model(names))} | ({} if serving else {SCOUT: draw(_model(names))})
    said: dict[str, Any] = {
        "name": "prod",
        "region": draw(st.sampled_from(["us-east-1", "eu-west-1"])),
        "hosts": {name: draw(_host(name)) for name in HOSTS},
        "models": models,
        "accept": draw(st.lists(st.sampled_from([f"verified/{LLAMA}/deepinfra", "nonsense"]), unique=True)),
    }
    if draw(st.booleans()):
        said["residency"] = draw(_REGION_SETS)
    if draw(st.booleans()):
        said["tenants"] = draw(
            st.dictionaries(st.sampled_from(["search", "support"]), _tenant(sorted(models)), min_size=1)
        )
    return said


def shuffled(value: Any, seed: random.Random) -> Any:
    """The same with every mapping in another order; lists keep theirs."""
    if isinstance(value, dict):
        entries = [(key, shuffled(item, seed)) for key, item in value.items()]
        seed.shuffle(entries)
        return dict(entries)
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value
