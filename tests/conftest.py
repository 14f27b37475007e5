"""For all tests: nobody's AWS credentials are found, so that no test can ask, or pay, the real Bedrock; how long an
example takes is not tested, since the machine may have other work; a test that starts a process is marked so.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.auditing import ProcessTests, audited

settings.register_profile("corral", deadline=None)
settings.load_profile("corral")

gc.set_threshold(50_000, 20, 50)
"""Of a program on mocks a third was spent on looking for garbage among what lives as long as the process."""

os.environ.setdefault("CORRAL_CRDS", str(Path(__file__).parents[2] / "shared" / "crds"))


@pytest.fixture(scope="session", autouse=True)
def signed_out_of_aws() -> Iterator[None]:
    """Child processes inherit it; a test that wants credentials sets its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    process_tests = ProcessTests()
    for item in items:
        if isinstance(item, pytest.Function) and item in process_tests:
            item.add_marker("process")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with audited(item):
        return (yield)
