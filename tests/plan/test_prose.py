from __future__ import annotations

import pytest

from corral.config.problems import size, span


@pytest.mark.parametrize(
    ("given", "want"),
    [(500, "500 ms"), (1_500, "1,500 ms"), (90_000, "90 s"), (120_000, "2 min"), (7_200_000, "2 h")],
)
def test_a_time_is_said_in_the_largest_whole_unit(given: int, want: str) -> None:
    assert span(given) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [(1_000, "1,000 bytes"), (2**10, "1 KiB"), (50 * 2**20, "50 MiB"), (1_025 * 2**20, "1,025 MiB"), (2**31, "2 GiB")],
)
def test_a_size_is_said_in_the_largest_whole_unit(given: int, want: str) -> None:
    assert size(given) == want
