"""Moments as they are written on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from corral.local.statistics.request_log import moment

NOW = datetime(2026, 11, 21, 14, 30, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("90s", datetime(2026, 11, 21, 14, 28, 30, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 21, 14, 0, tzinfo=UTC)),
        ("1h", datetime(2026, 11, 21, 13, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 14, 14, 30, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 7, 14, 30, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30:05Z", datetime(2026, 11, 1, 12, 30, 5, tzinfo=UTC)),
        ("2026-11-01T12:30+02:00", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_ago_or_a_day_or_a_time_of_day(text: str, want: datetime) -> None:
    assert moment(text, NOW) == want


@pytest.mark.parametrize("text", ["", "1", "h", "1y", "-1h", "yesterday", "2026-13-01", "999999w", "1h30m"])
def test_what_is_no_moment_is_told_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write it like 1h, 7d, 2026-11-01 or 2026-11-01T12:30"):
        moment(text, NOW)
