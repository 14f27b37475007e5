"""A candidate beside the hosts that serve, in numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corral.local.statistics.compared import Comparison, Pair, Side, compare, pairs
from corral.local.statistics.request_log import Window

NOON = 1_795_276_800_000


def line(number: int, *, copy: bool, **more: Any) -> dict[str, Any]:
    side = {"host": "vllm", "copy": True} if copy else {"host": "bedrock", "copy": False}
    common = {"id": f"id-{number}", "model": "m", "stream": False, "time": NOON + number, "status": 200}
    return {**common, **side, "duration_ms": 100, "output_tokens": 10, **more}


def written(folder: Path, *lines: dict[str, Any], name: str = "mirrored.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    return file


def paired(folder: Path, times: int, served: dict[str, Any], copied: dict[str, Any]) -> list[Pair]:
    both = [
        line(number, copy=copy, **more) for number in range(times) for copy, more in ((True, copied), (False, served))
    ]
    return pairs(written(folder, *both), "m", Window())


def test_a_request_is_paired_with_its_copy_across_both_files_and_what_has_none_is_left_out(tmp_path: Path) -> None:
    written(tmp_path, line(1, copy=True), line(2, copy=True), name="mirrored.jsonl.older")
    file = written(
        tmp_path, line(1, copy=False), line(3, copy=True), line(4, copy=True, model="n"), line(4, copy=False)
    )
    with file.open("a") as log:
        log.write('{"id": "id-5", "mod')
    assert [(old.host, new.host, new.id) for old, new in pairs(file, "m", Window())] == [("bedrock", "vllm", "id-1")]
    later = Window(datetime(2027, 1, 1, tzinfo=UTC))
    assert pairs(file, "m", later) == []
    with pytest.raises(FileNotFoundError):
        pairs(tmp_path / "none", "m", Window())


def test_a_candidate_that_answers_as_well_is_in_nothing_worse(tmp_path: Path) -> None:
    alike = {"json": True, "calls": "0f"}
    side = Side(("bedrock",), 1.0, None, 100, 100, 10, 1.0)
    candidate = Side(("vllm",), 1.0, None, 150, 150, 20, 1.0)
    assert compare("m", paired(tmp_path, 100, alike, {**alike, "duration_ms": 150, "output_tokens": 20})) == Comparison(
        "m", 100, side, candidate, 1.0, ()
    )


WORSE = [
    ({}, {"status": 0}, "answers less of them"),
    ({}, {"status": 503}, "answers less of them"),
    ({}, {"duration_ms": 151}, "is slower to answer"),
    ({"stream": True, "first_byte_ms": 10}, {"stream": True, "first_byte_ms": 16}, "is slower to begin a stream"),
    ({"json": True}, {"json": False}, "gives JSON less often"),
    ({"calls": "0"}, {"calls": "1"}, "calls other tools"),
]


@pytest.mark.parametrize(("served", "copied", "why"), WORSE)
def test_in_what_a_candidate_is_worse(tmp_path: Path, served: dict[str, Any], copied: dict[str, Any], why: str) -> None:
    assert compare("m", paired(tmp_path, 20, served, copied)).worse == (why,)
    assert compare("m", paired(tmp_path, 20, copied, served)).worse == ((why,) if why == "calls other tools" else ())


def test_one_of_a_hundred_more_that_fails_makes_no_difference(tmp_path: Path) -> None:
    for failing, worse in ((1, ()), (2, ("answers less of them",))):
        both = [
            line(number, copy=copy, status=503 if copy and number < failing else 200)
            for number in range(100)
            for copy in (True, False)
        ]
        assert compare("m", pairs(written(tmp_path, *both), "m", Window())).worse == worse
