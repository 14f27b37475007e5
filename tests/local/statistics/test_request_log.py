"""The log as it is read: several files, half lines, garbage."""

from __future__ import annotations

import os
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.state_folder import StateFolder
from corral.local.statistics.request_log import Reading, Request, Window, moment, parse
from tests.local.statistics.log_lines import line, log

AT = datetime(2026, 11, 21, 14, 0, 0, 123_000, UTC)
ALWAYS = Window()


def models(reading: Reading) -> list[str | None]:
    return [request.model for request in reading]


def test_a_line_of_the_log() -> None:
    assert parse(line().encode()) == Request(
        time=AT,
        status=200,
        tenant="search",
        model="llama-3.3-70b",
        host="bedrock",
        input_tokens=10,
        output_tokens=20,
        estimated=False,
        flags="-",
        attempts=1,
    )


def test_numbers_may_be_strings_of_digits() -> None:
    texts = line(status="200", input_tokens="10", output_tokens="20", estimated="false")
    assert parse(texts.encode()) == parse(line().encode())


NO_REQUESTS: list[tuple[str, str]] = [
    ("empty", "\n"),
    ("no JSON", "hello\n"),
    ("cut off", line()[:100] + "\n"),
    ("two in one", line()[:100] + line()),
    ("a list", "[]\n"),
    ("no time", line(time=None)),
    ("no time zone", line(time="2026-11-21T14:00:00")),
    ("no status", line(status=None)),
    ("negative", line(input_tokens=-1)),
    ("half a token", line(output_tokens=1.5)),
    ("a word for a number", line(output_tokens="many")),
    ("a list for a name", line(model=["m"])),
]


@pytest.mark.parametrize("text", [row[1] for row in NO_REQUESTS], ids=[row[0] for row in NO_REQUESTS])
def test_what_is_no_request(text: str) -> None:
    assert parse(text.encode()) is None


@pytest.mark.parametrize(
    ("fields", "uncounted"),
    [
        ({}, False),
        ({"status": 0, "input_tokens": None}, True),
        ({"status": 0, "host": None, "input_tokens": None}, False),
        ({"status": 404, "model": None, "host": None, "input_tokens": None}, False),
        ({"status": 429, "host": None, "input_tokens": None}, False),
        ({"status": 503, "input_tokens": None}, False),
        ({"input_tokens": None, "output_tokens": None}, True),
        ({"input_tokens": None, "output_tokens": 3, "estimated": True}, True),
        ({"output_tokens": None}, False),
    ],
)
def test_what_a_host_has_not_counted(fields: dict[str, Any], uncounted: bool) -> None:
    request = parse(line(**fields).encode())
    assert request
    assert request.uncounted == uncounted


def test_all_files_are_read_the_current_one_last(tmp_path: Path) -> None:
    files = {"2026-11-20T00-00-00.000Z": line(model="b"), "2026-11-19T00-00-00.000Z": line(model="a")}
    folder = log(tmp_path, current=line(model="c"), **files)
    (folder.requests / "notes.txt").write_text("not of the log")
    assert models(Reading(folder, ALWAYS)) == ["a", "b", "c"]


def test_a_log_without_a_current_file_is_read_and_none_at_all_is_told(tmp_path: Path) -> None:
    assert models(Reading(log(tmp_path / "one", ended=line(model="a")), ALWAYS)) == ["a"]
    assert models(Reading(log(tmp_path / "empty"), ALWAYS)) == []
    with pytest.raises(FileNotFoundError):
        list(Reading(StateFolder.of(tmp_path, "local"), ALWAYS))


def test_garbage_is_left_out_and_counted_with_its_places(tmp_path: Path) -> None:
    folder = log(
        tmp_path,
        ended=line(model="a") + "half a li\n" + line(model="b") + line()[:50],
        current="\n" + "\x00\x00\n" * 3 + line(model="c"),
    )
    reading = Reading(folder, ALWAYS)
    assert models(reading) == ["a", "b", "c"]
    ended, current = folder.requests / "ended.jsonl", folder.current
    assert (reading.unreadable, reading.places) == (5, [(ended, 2), (ended, 4), (current, 2)])


def test_the_line_that_is_being_written_is_left_for_the_next_reading(tmp_path: Path) -> None:
    folder = log(tmp_path, current=line(model="a") + line(model="b")[:-9])
    first = Reading(folder, ALWAYS)
    assert (models(first), first.unreadable) == (["a"], 0)
    with folder.current.open("a") as more:
        more.write(line(model="b")[-9:])
    assert models(Reading(folder, ALWAYS)) == ["a", "b"]


def test_a_whole_last_line_without_its_end_counts(tmp_path: Path) -> None:
    assert models(Reading(log(tmp_path, current=line(model="a").rstrip()), ALWAYS)) == ["a"]


def test_a_line_that_never_ends_is_one_unreadable_line_and_takes_no_memory(tmp_path: Path) -> None:
    folder = log(tmp_path, current=line(model="a"))
    with folder.current.open("a") as out:
        for _ in range(32):
            out.write("x" * 2**20)
        out.write("\n" + line(model="b"))
    reading = Reading(folder, ALWAYS)
    tracemalloc.start()
    try:
        assert models(reading) == ["a", "b"]
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert (reading.unreadable, reading.places) == (1, [(folder.current, 2)])


def test_the_window_takes_its_beginning_and_leaves_its_end(tmp_path: Path) -> None:
    folder = log(tmp_path, current="".join(line(time=f"2026-11-21T14:0{n}:00Z", model=str(n)) for n in range(5)))
    at = [datetime(2026, 11, 21, 14, minute, tzinfo=UTC) for minute in range(5)]
    assert models(Reading(folder, Window(at[1], at[3]))) == ["1", "2"]
    assert models(Reading(folder, Window(since=at[3]))) == ["3", "4"]
    assert models(Reading(folder, Window(until=at[1]))) == ["0"]


def test_a_file_that_ended_before_the_window_is_not_read(tmp_path: Path) -> None:
    folder = log(tmp_path, ended=line(model="a") + "garbage\n", current=line(model="b"))
    os.utime(folder.requests / "ended.jsonl", (0, (AT - timedelta(hours=1)).timestamp()))
    reading = Reading(folder, Window(since=AT - timedelta(minutes=30)))
    assert (models(reading), reading.unreadable) == (["b"], 0)


def test_a_file_that_is_renamed_while_the_log_is_read_is_read_once(tmp_path: Path) -> None:
    folder = log(tmp_path, a=line(model="a"), current=line(model="b"))
    requests = iter(Reading(folder, ALWAYS))
    assert next(requests).model == "a"
    folder.current.rename(folder.requests / "b.jsonl")
    folder.current.write_text(line(model="c"))
    assert [request.model for request in requests] == ["b"]
    assert models(Reading(folder, ALWAYS)) == ["a", "b", "c"]


def test_a_file_that_is_deleted_while_the_log_is_read_is_passed_over(tmp_path: Path) -> None:
    folder = log(tmp_path, a=line(model="a"), b=line(model="b"), current=line(model="c"))
    requests = iter(Reading(folder, ALWAYS))
    assert next(requests).model == "a"
    (folder.requests / "b.jsonl").unlink()
    assert [request.model for request in requests] == ["c"]


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(text: bytes) -> None:
    parse(text)


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
