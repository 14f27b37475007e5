"""`corral reconcile`: a log and a bill in, rows with causes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Corral

pytest.importorskip("psutil")

STACK = """\
config:
  corral:hosts: {groq: {models: {m: {id: groq-m, price: {input: 1, output: 2}}}}}
  corral:models: {m: {shares: {groq: 100}}}
"""


def line(day: int = 21, **other: object) -> str:
    request = {
        "time": f"2026-11-{day}T14:00:00Z",
        "id": "x",
        "status": 200,
        "model": "m",
        "host": "groq",
        "attempts": 1,
    }
    return json.dumps({**request, "input_tokens": 500_000, "output_tokens": 100_000, **other}) + "\n"


def bill(prompts: int, dollars: str, day: str = "2026-11-21") -> str:
    rows = f"groq,m,input,{prompts},{dollars},{day}\ngroq,m,output,200000,0.40,{day}\n"
    return f"host,model,kind,tokens,dollars,day\n{rows}"


@pytest.fixture
def folder(project: Path) -> Path:
    """A stack with two requests on a day, one the day after, and a refused one; a million tokens of prompts in all."""
    (project / "stacks" / "Pulumi.prod.yaml").write_text(STACK)
    (project / "envoy.log").write_text(
        "starting\n" + line() + line(attempts=2) + line(22) + line(host=None, status=401)
    )
    return project


def reconcile(corral: Corral, folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    (folder / "bill.csv").write_text(text)
    log = ("--log", str(folder / "envoy.log"))
    done = corral("reconcile", "--bill", str(folder / "bill.csv"), "--stack", "prod", *log, *arguments)
    assert done.err == ""
    return done.status, done.out


def test_a_bill_that_agrees_ends_well_and_counts_its_own_days_alone(corral: Corral, folder: Path):
    status, text = reconcile(corral, folder, bill(1_000_000, "1.00"))
    assert status == 0
    assert " ".join(text.splitlines()[1].split()) == "groq m 1,000,000 1,000,000 200,000 200,000 $1.40 $1.40"
    assert text.endswith("Nothing is more than 1% apart.\n")


def test_a_retry_that_was_billed_twice_is_named_and_drifts_unless_it_is_tolerated(corral: Corral, folder: Path):
    status, text = reconcile(corral, folder, bill(1_250_000, "1.25"))
    assert (status, text.splitlines()[-2:]) == (
        1,
        [
            "groq m: +$0.25, +250,000 tokens: retries billed twice: at most, of 1 of the model",
            "More than 1% apart: groq m.",
        ],
    )
    assert reconcile(corral, folder, bill(1_250_000, "1.25"), "--tolerance", "20")[0] == 0


def test_as_json_it_has_both_sides_and_the_causes(corral: Corral, folder: Path):
    status, text = reconcile(corral, folder, bill(1_000_000, "1.50"), "--json")
    assert (status, json.loads(text)) == (
        1,
        {
            "stack": "prod",
            "since": "2026-11-21T00:00:00+00:00",
            "until": "2026-11-22T00:00:00+00:00",
            "rows": [
                {
                    "host": "groq",
                    "model": "m",
                    "metered": _amounts(1_400_000),
                    "billed": _amounts(1_900_000),
                    "causes": [{"cause": "price: another than the stack has", "tokens": 0, "microDollars": 500_000}],
                }
            ],
        },
    )


def _amounts(micro_dollars: int) -> dict[str, int]:
    return {
        "inputTokens": 1_000_000,
        "cachedTokens": 0,
        "outputTokens": 200_000,
        "microDollars": micro_dollars,
    }


def test_the_local_log_is_read_with_the_prices_of_its_time_and_none_is_told(corral: Corral, folder: Path):
    (folder / "bill.csv").write_text(bill(1_000_000, "1.00"))
    arguments = ("reconcile", "--bill", str(folder / "bill.csv"), "--stack", "prod")
    nowhere = corral(*arguments)
    assert (nowhere.status, nowhere.err) == (
        1,
        "Stack prod was not served on this machine; of a cluster give its log with --log.\n",
    )
    requests = folder / ".corral" / "prod" / "requests"
    requests.mkdir(parents=True)
    (requests / "current.jsonl").write_text(line() + line())
    price = {"groq": {"input": 2_000_000, "output": 2_000_000, "source": "x"}}
    tariff = json.dumps({"since": "2026-11-01T00:00:00Z", "prices": {"m": price}})
    (folder / ".corral" / "prod" / "prices.jsonl").write_text(f"{tariff}\n")
    done = corral(*arguments)
    assert (done.status, "$2.40" in done.out) == (1, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host,model,kind,tokens,dollars\n", "charges for no tokens."),
        ("a,b\n", "is no bill that is known"),
    ],
)
def test_a_bill_that_says_nothing_is_told(corral: Corral, folder: Path, text: str, message: str):
    (folder / "bill.csv").write_text(text)
    done = corral("reconcile", "--bill", str(folder / "bill.csv"), "--stack", "prod")
    assert (done.status, message in done.err, "Traceback" in done.err) == (1, True, False)
