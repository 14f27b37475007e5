from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.abuse.arena import Arena, arena


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The one gateway that all of these tests abuse."""
    with arena(tmp_path_factory.mktemp("abuse") / "project") as served:
        yield served
        served.log()


@pytest.fixture(autouse=True)
def stands(served: Arena) -> Iterator[None]:
    """After each test the gateway is the process that it was."""
    yield
    served.check()
