"""Copies of requests for a candidate, by a real Envoy, and what `corral compare` tells of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.local.gateway import TWO_HOSTS, Gateway, chat, serving, until


def mirrored(**more: Any) -> dict[str, Any]:
    config = copy.deepcopy(TWO_HOSTS)
    config["corral:models"]["m"] = {
        "shares": {"groq": 100, "deepinfra": 0},
        "mirror": {"to": "deepinfra", "percent": 100},
    }
    return config | more


def written(gateway: Gateway) -> list[dict[str, Any]]:
    file = gateway.project / ".corral" / gateway.stack / "mirrored.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def asked(gateway: Gateway, **more: Any) -> str:
    answer = chat(gateway.url, **more)
    assert answer.status_code == 200
    return answer.headers["x-corral-host"]


def test_a_candidate_answers_copies_and_is_compared_and_no_client_meets_it(project: Path) -> None:
    with serving(project, mirrored()) as gateway, gateway.control() as control:
        assert {asked(gateway, stream=stream) for stream in (True, False) * 3} == {"groq"}
        until(lambda: len(written(gateway)) == 12, "both sides of six requests are written down")
        assert {(each["host"], each["copy"], each["status"]) for each in written(gateway)} == {
            ("groq", False, 200),
            ("deepinfra", True, 200),
        }
        assert gateway.run("compare", "m").returncode == 2
        control.set_fault("deepinfra", "503")
        assert {asked(gateway) for _ in range(3)} == {"groq"}
        until(lambda: len(written(gateway)) == 18, "three more are written down")
        assert [each["status"] for each in written(gateway) if each["copy"]][-3:] == [503] * 3
        worse = gateway.run("compare", "m", "--least", "6")
        assert worse.returncode == 1
        assert worse.stdout.splitlines()[-1].startswith("deepinfra is worse: it answers less of them")
        assert "deepinfra" not in gateway.run("usage", "--by", "host").stdout
        control.set_fault("deepinfra", "hang")
        assert {asked(gateway) for _ in range(3)} == {"groq"}
