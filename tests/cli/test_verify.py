"""`corral verify` against a host of this test's own, over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Corral
from tests.local.real_host import RealHost, real_host

KEY = "sk-the-lab-s-own-key"
STACK = """\
config:
  corral:hosts:
    lab:
      kind: openai
      url: URL
      ca: ../ca.pem
      models: {m: ID}
  corral:models:
    m: {shares: {lab: 100}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHost]:
    with real_host(tmp_path_factory.mktemp("lab"), KEY) as host:
        yield host


CASES = [
    ("its id is there", "Lab-M", KEY, 0, "allowed", "in its list of models"),
    ("its id is not there", "Lab-N", KEY, 1, "refused", "not in its list of models (1 there); the nearest is Lab-M"),
    ("the key is wrong", "Lab-M", "sk-another", 1, "refused", "it refuses the key (HTTP 401): give it a valid one"),
    ("there is no key", "Lab-M", None, 0, "unknown", "there is no key for it: set LAB_API_KEY"),
]


@pytest.mark.parametrize(
    ("model_id", "key", "status", "outcome", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_only_a_refusal_is_an_exit_status(
    corral: Corral,
    lab: RealHost,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_id: str,
    key: str | None,
    status: int,
    outcome: str,
    why: str,
):
    if key:
        monkeypatch.setenv("LAB_API_KEY", key)
    (project / "ca.pem").write_bytes(Path(lab.ca).read_bytes())
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK.replace("URL", lab.url).replace("ID", model_id))
    said = corral("verify", "--json")
    assert (said.status, json.loads(said.out), said.err) == (
        status,
        [{"model": "m", "host": "lab", "modelId": model_id, "outcome": outcome, "why": why}],
        "",
    )
    table = corral("verify")
    assert (table.status, table.out.splitlines()[1].split(maxsplit=4)) == (
        status,
        ["m", "lab", model_id, outcome, why],
    )
