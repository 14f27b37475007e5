from collections.abc import Callable
from typing import Any

import pytest

from corral.catalog.catalog import Takes
from corral.hosts import probing
from corral.plan.plan import Credential, Lifecycle, Load, Target

TARGET: dict[str, Any] = {
    "host": "lab",
    "kind": "openai",
    "model_id": "Llama-3.3-70B",
    "share": 100,
    "weight": 100,
    "priority": 0,
    "protocol": "openai",
    "url": "https://lab.example/v1",
    "ca": None,
    "credential": Credential("authorization", ambient=False, variable="LAB_API_KEY"),
    "reaches": None,
    "callable_from": None,
    "region": None,
    "context": None,
    "output": None,
    "takes": Takes(),
    "lifecycle": Lifecycle("available"),
    "price": None,
    "verified": True,
    "as_of": None,
    "source": "stack",
    "limit": Load(),
}


@pytest.fixture
def target() -> Callable[..., Target]:
    """A target of the host `lab`, with these changes."""

    def build(**changes: Any) -> Target:
        return Target(**TARGET | changes)

    return build


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PAUSE_SECONDS", 0)
