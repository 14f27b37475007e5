"""`corral why` on logs of both engines, with the stack file in a real git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.plan.build import build
from corral.plan.trace import model_hash
from tests.cli.conftest import Corral
from tests.test_repository import git

pytestmark = pytest.mark.process

ID = "0b7c6d0e-8f0e-4b38-9d5e-0d5a4a5f7a11"
STACK = """\
config:
  corral:hosts:
    groq: {models: {m: groq-m}}
    lab: {kind: openai, url: "https://lab.example.com/v1", regions: [eu-west-1], models: {m: lab-m}}
    deepinfra: {models: {m: deep-m}}
  corral:models: {m: {shares: {groq: GROQ, lab: LAB}, fallback: [deepinfra]}}
  corral:tenants: {search: {}, house: {residency: [eu]}}
"""


def written(groq: int) -> str:
    return STACK.replace("GROQ", str(groq)).replace("LAB", str(100 - groq))


def hash_now(file: Path) -> str:
    catalog = load_catalog()
    plan = build(read_stack(file, catalog), catalog)
    return model_hash(plan.models[0], plan)


def line(**other: Any) -> str:
    """As a cluster's Envoy writes it, and kubectl passes it on."""
    request = {"id": ID, "time": "2026-11-21T14:00:00.123Z", "tenant": "search", "model": "m", "host": "groq"}
    request |= {"host_model": "groq-m", "method": "POST", "path": "/v1/chat/completions", "status": 200}
    return json.dumps({**request, "attempts": 1, "duration_ms": 800, "flags": "-", "input_tokens": 9, **other})


@pytest.fixture
def file(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack file with three commits: 60 %, 70 % and 60 % again at groq; the request came after the second."""
    file = project / "stacks" / "Pulumi.prod.yaml"
    git(project, "init", "-q")
    for day, groq in ((19, 60), (21, 70), (22, 60)):
        file.write_text(written(groq))
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-11-{day}T12:00:00Z")
        git(project, "add", "stacks")
        git(project, "commit", "-qm", f"{groq} at groq")
    return file


def why(corral: Corral, project: Path, *lines: str, status: int = 0) -> dict[str, Any]:
    log = project / "envoy.log"
    log.write_text("".join(f"[pod/envoy-1] {each}\n" for each in ("starting", line(id="another"), *lines)))
    done = corral("why", ID, "--stack", "prod", "--log", str(log), "--json")
    assert done.status == status, done.err
    return json.loads(done.out)


def test_a_request_on_a_cluster_leads_to_the_newest_commit_before_it_that_has_its_plan(
    corral: Corral, project: Path, file: Path
):
    planned = hash_now(file)
    oldest = git(project, "rev-parse", "HEAD~2")
    facts = why(corral, project, line(plan=planned))
    assert facts == {
        "request": f"{ID}, 2026-11-21T14:00:00+00:00: POST /v1/chat/completions → 200 after 800 ms",
        "tenant": "search",
        "model": "m",
        "host": "groq as groq-m",
        "attempts": "1",
        "plan": planned,
        "commit": f"{oldest} (t: 60 at groq)",
        "rule": "share: weight 60 of 100 among those that share",
    }


def test_what_the_log_says_of_the_commit_comes_first_and_the_file_as_it_is_last(
    corral: Corral, project: Path, file: Path
):
    newest = git(project, "rev-parse", "HEAD")
    assert why(corral, project, line(plan=hash_now(file), commit=newest))["commit"] == (
        f"{newest}, committed after the request (t: 60 at groq)"
    )
    file.write_text(written(1))
    facts = why(corral, project, line(plan=hash_now(file), commit=f"{newest}-dirty", host="lab", host_model="lab-m"))
    assert facts["commit"] == "none: this plan is that of the stack file as it is, which is not committed"
    assert facts["rule"] == "share: weight 99 of 100 among those that share"


def test_a_fallback_and_a_residency_are_said(corral: Corral, project: Path, file: Path):
    planned = hash_now(file)
    fallback = why(corral, project, line(plan=planned, host="deepinfra", host_model="deep-m", attempts=3, flags="UT"))
    assert fallback["rule"] == "fallback 1 of 1: those before it failed, or could not take it"
    assert fallback["attempts"] == "3, ended as UT; the log names the last host alone"
    house = why(corral, project, line(plan=planned, tenant="house", host="lab", host_model="lab-m"))
    assert house["rule"] == (
        "share: weight 40 of 40 among those that share, without deepinfra and groq, which its residency does not allow"
    )
    strange = why(corral, project, line(plan=planned, tenant="house"))
    assert strange["rule"] == "none of the plan: no request of this caller goes to groq"


def test_a_plan_that_is_nowhere_is_unknown_and_a_refused_request_has_none(corral: Corral, project: Path, file: Path):
    assert file.exists()
    elsewhere = why(corral, project, line(plan="0123456789ab"))
    assert elsewhere["commit"].startswith("unknown: the stack file has this plan in no commit")
    assert elsewhere["rule"] == "unknown, as its plan is"
    refused = why(corral, project, line(model=None, host=None, host_model=None, tenant=None, status=401, attempts=0))
    assert (refused["host"], refused["model"], refused["plan"]) == (
        "none answered",
        "none that there is",
        "unknown: the log has none",
    )


def test_the_local_log_is_read_where_none_is_given_and_what_is_not_there_is_said(corral: Corral, project: Path):
    done = corral("why", ID, "--stack", "prod")
    assert (done.status, done.err) == (
        1,
        "Stack prod has not been served on this machine; of a cluster give its log with --log.\n",
    )
    requests = project / ".corral" / "prod" / "requests"
    requests.mkdir(parents=True)
    (requests / "2026-11-21T00-00-00.000Z.jsonl").write_text(line(plan="0123456789ab") + "\n")
    found = corral("why", ID, "--stack", "prod")
    assert (found.status, found.out.splitlines()[1]) == (0, "tenant    search")
    missing = corral("why", "nobody", "--stack", "prod")
    assert (missing.status, missing.err) == (
        1,
        "Request nobody is not in the log of stack prod on this machine; of a cluster give --log.\n",
    )
