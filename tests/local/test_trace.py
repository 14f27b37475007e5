"""A request traced to its commit: by the headers of its answer, the log, the metrics and `corral why`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from corral.local.state_folder import StateFolder
from tests.local.gateway import TWO_HOSTS, Gateway, serving, until
from tests.test_repository import git

EVEN = {**TWO_HOSTS, "corral:models": {"m": {"shares": {"groq": 50, "deepinfra": 50}}}}
QUIET = {**EVEN, "corral:engine": {**TWO_HOSTS["corral:engine"], "traceHeaders": False}}


def ask(gateway: Gateway) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    return httpx.post(f"{gateway.url}/chat/completions", json=body)


def logged(gateway: Gateway, request: str) -> dict[str, Any]:
    file = StateFolder.of(gateway.project, gateway.stack).current

    def found() -> list[dict[str, Any]]:
        return [line for text in file.read_text().splitlines() if (line := json.loads(text))["id"] == request]

    return until(found, f"the log has {request}")[0]


@pytest.mark.usefixtures("machine")
def test_an_answer_the_log_and_the_metrics_name_the_plan_and_the_commit_as_they_change(project: Path):
    with serving(project, TWO_HOSTS) as gateway:
        first = ask(gateway)
        outside = first.headers["x-corral-commit"]
        plan = first.headers["x-corral-plan"]
        assert outside == "unknown"
        git(project, "init", "-q")
        git(project, "add", "stacks")
        git(project, "commit", "-qm", "first")
        sha = git(project, "rev-parse", "HEAD")
        gateway.save(EVEN)
        edited = until(lambda: (a := ask(gateway)).headers["x-corral-plan"] != plan and a, "the edit is in force")
        assert edited.headers["x-corral-commit"] == f"{sha}-dirty"
        git(project, "commit", "-qam", "even")
        even = git(project, "rev-parse", "HEAD")
        committed = until(lambda: (a := ask(gateway)).headers["x-corral-commit"] == even and a, "the commit is seen")
        assert committed.headers["x-corral-plan"] == edited.headers["x-corral-plan"]
        line = logged(gateway, committed.headers["x-request-id"])
        assert (line["plan"], line["commit"]) == (edited.headers["x-corral-plan"], even)
        metrics = httpx.get(f"{gateway.running.page_url.rstrip('/')}/metrics").text
        assert f'model="m",plan="{line["plan"]}",stack="{gateway.stack}"' in metrics
        assert f'commit="{even}"' in metrics
        told = gateway.run("why", line["id"]).stdout
        assert (f"{even} (t: even)" in told, "weight 50 of 100" in told) == (True, True), told
        gateway.save(QUIET)
        quiet = until(lambda: "x-corral-plan" not in (a := ask(gateway)).headers and a, "the headers are gone")
        assert "x-corral-commit" not in quiet.headers
        assert logged(gateway, quiet.headers["x-request-id"])["plan"] == line["plan"]
