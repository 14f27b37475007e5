"""`corral usage`: a log added up, as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from corral.cli.usage import Summed, table
from corral.local.state_folder import StateFolder
from corral.local.statistics.cost import Tariff, with_tariff
from corral.local.statistics.request_log import Window
from corral.local.statistics.usage import DIMENSIONS, Sums
from corral.plan.plan import Price
from tests.cli.conftest import Corral, Outcome
from tests.local.statistics.log_lines import line, log

DAY = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = "".join(
    (
        line(model="m", host="groq", input_tokens=1_000_000, output_tokens=2_000_000),
        line(model="m", host="groq", input_tokens=0, output_tokens=1_000_000, estimated=True),
        line(model="m", host="deepinfra", tenant="support", input_tokens=500, output_tokens=500),
        line(model=None, host=None, tenant=None, status=404, input_tokens=None, output_tokens=None),
    )
)


@pytest.fixture
def served(project: Path) -> StateFolder:
    """A project whose stack `local` was served, with a price for `groq` alone."""
    folder = log(project, current=TEXT)
    folder.prices.write_text(with_tariff([], Tariff(DAY, {"m": {"groq": Price(590_000, 790_000, "stack")}})) or "")
    return folder


def cells(outcome: Outcome) -> list[list[str]]:
    """The words of the lines of the table."""
    return [row.split() for row in outcome.out.splitlines()]


@pytest.mark.usefixtures("served")
def test_a_table_of_tenants_models_and_hosts_with_a_total(corral: Corral):
    outcome = corral("usage")
    assert (outcome.status, outcome.err) == (0, "")
    assert cells(outcome) == [
        ["local", "since", "the", "log", "begins"],
        [],
        [
            "TENANT",
            "MODEL",
            "HOST",
            "REQUESTS",
            "SERVER",
            "ERRORS",
            "CLIENT",
            "ERRORS",
            "TOKENS",
            "IN",
            "TOKENS",
            "OUT",
            "ESTIMATED",
            "COST",
        ],
        ["search", "m", "groq", "2", "0", "0", "1,000,000", "3,000,000", "25.0%", "$2.96"],
        ["support", "m", "deepinfra", "1", "0", "0", "500", "500", "0.0%", "unknown"],
        ["–", "–", "–", "1", "0", "1", "0", "0", "–", "$0.00"],
        ["total", "4", "0", "1", "1,000,500", "3,000,500", "25.0%", "$2.96", "+", "unknown"],
        [],
        ["Server", "errors:", "5xx,", "or", "no", "whole", "answer.", "Client", "errors:", "4xx."],
        ["Tokens", "without", "a", "known", "price:", "1,000.", "Their", "cost", "is", "unknown,", "not", "nothing."],
    ]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("by", "want"),
    [
        ("tenant", [["search"], ["support"], ["–"]]),
        ("host,model", [["deepinfra", "m"], ["groq", "m"], ["–", "–"]]),
        ("model, model", [["m"], ["–"]]),
    ],
)
def test_any_of_them_may_be_added_up_by(corral: Corral, by: str, want: list[list[str]]):
    rows = cells(corral("usage", "--by", by))[3:]
    assert [row[: len(want[0])] for row in rows[: len(want)]] == want
    assert rows[len(want)][0] == "total"


@pytest.mark.usefixtures("served")
def test_as_json(corral: Corral):
    outcome = corral("usage", "--by", "host", "--json", "--since", "2026-11-20", "--until", "2026-11-22")
    assert (outcome.status, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    zero = {
        "cachedTokens": 0,
        "reasoningTokens": 0,
        "unpricedTokens": 0,
        "uncountedRequests": 0,
        "simulatedRequests": 0,
    }
    groq = {
        "requests": 2,
        "serverErrors": 0,
        "clientErrors": 0,
        "inputTokens": 1_000_000,
        "outputTokens": 3_000_000,
        "estimatedTokens": 1_000_000,
        "costMicroDollars": 2_960_000,
        "costComplete": True,
        **zero,
    }
    assert document == {
        "stack": "local",
        "since": "2026-11-20T00:00:00+00:00",
        "until": "2026-11-22T00:00:00+00:00",
        "by": ["host"],
        "rows": [
            {
                "host": "deepinfra",
                "requests": 1,
                "serverErrors": 0,
                "clientErrors": 0,
                "inputTokens": 500,
                "outputTokens": 500,
                "estimatedTokens": 0,
                "costMicroDollars": None,
                "costComplete": False,
                **zero,
                "unpricedTokens": 1_000,
            },
            {"host": "groq", **groq},
            {
                **dict.fromkeys(groq, 0),
                "host": None,
                "requests": 1,
                "clientErrors": 1,
                "costComplete": True,
            },
        ],
        "total": {
            **groq,
            "requests": 4,
            "clientErrors": 1,
            "inputTokens": 1_000_500,
            "outputTokens": 3_000_500,
            "costComplete": False,
            "unpricedTokens": 1_000,
        },
        "unreadableLines": 0,
    }


@pytest.mark.usefixtures("served")
def test_as_csv_without_the_total(corral: Corral):
    outcome = corral("usage", "--csv")
    assert (outcome.status, outcome.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [
        (row["tenant"], row["host"], row["requests"], row["cost_dollars"], row["cost_complete"]) for row in rows
    ] == [
        ("search", "groq", "2", "2.960000", "true"),
        ("support", "deepinfra", "1", "", "false"),
        ("", "", "1", "0.000000", "true"),
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 132, 200])
def test_at_no_width_a_word_is_broken_or_left_out(width: int):
    names = ("long-tenant-name", "llama-4-maverick-17b-128e", "together-serverless")
    sums = {
        names: Sums(1_234_567, 89, 1_011, 1_213_141_516, 171_819, 20, millionths=10**18),
        (*names[:2], None): Sums(22, unpriced_tokens=23, input_tokens=23),
    }
    summed = Summed("local", Window(), DIMENSIONS, dict(sums), 0)
    out = Console(file=io.StringIO(), width=width)
    out.print(table(summed))
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    shown = " ".join(lines).replace(", ", " ").replace(":", "").lower().split()
    heads = ("requests", "server", "client", "errors", "tokens", "in", "out", "estimated", "cost", "total")
    numbers = ("1,234,567", "89", "1,011", "1,213,141,516", "171,819", "$1,000,000.00", "unknown")
    assert [each for each in (*names, *heads, *numbers) if each not in shown] == []


def test_a_window_without_requests_is_empty_and_no_error(corral: Corral, served: StateFolder):
    assert served.current.exists()
    outcome = corral("usage", "--since", "1h")
    assert (outcome.status, outcome.err) == (0, "")
    assert cells(outcome)[3:4] == [["total", "0", "0", "0", "0", "0", "–", "$0.00"]]


def test_the_last_hour_holds_what_came_just_now(corral: Corral, served: StateFolder):
    now = datetime.now(UTC)
    at = [f"{now - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.000Z}" for minutes in (30, 90)]
    served.current.write_text("".join(line(time=moment) for moment in at))
    assert json.loads(corral("usage", "--json", "--since", "1h").out)["total"]["requests"] == 1
    assert json.loads(corral("usage", "--json", "--until", "1h").out)["total"]["requests"] == 1
    assert json.loads(corral("usage", "--json").out)["total"]["requests"] == 2


def test_today_s_prices_are_those_of_the_stack_file(corral: Corral, project: Path, served: StateFolder):
    served.prices.unlink()
    assert cells(corral("usage", "--by", "model"))[3][-1] == "unknown"
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        "config:\n"
        "  corral:hosts:\n"
        "    groq: {models: {m: {id: groq-m, price: {input: 1, output: 2}}}}\n"
        "    deepinfra: {models: {m: {id: deepinfra-m, price: {input: 10, output: 10}}}}\n"
        "  corral:models: {m: {shares: {groq: 50, deepinfra: 50}}}\n"
    )
    assert [row[-1] for row in cells(corral("usage", "--by", "host", "--prices", "now"))[3:7]] == [
        "$0.01",
        "$7.00",
        "$0.00",
        "$7.01",
    ]


def test_what_a_simulated_host_did_is_told_apart(corral: Corral, served: StateFolder):
    prices = {"m": {"groq": Price(1, 1, "stack"), "deepinfra": Price(1, 1, "stack")}}
    served.prices.write_text(with_tariff([], Tariff(DAY, prices, frozenset({"groq"}))) or "")
    outcome = corral("usage")
    assert outcome.out.splitlines()[-1] == (
        "Requests to simulated hosts: 2. Their cost is what the real ones would charge."
    )


def test_lines_that_cannot_be_read_are_told_with_their_places(corral: Corral, served: StateFolder):
    served.current.write_text("garbage\n" * 5 + TEXT)
    outcome = corral("usage", "--json")
    document = json.loads(outcome.out)
    assert (outcome.status, document["total"]["requests"], document["unreadableLines"]) == (0, 4, 5)
    current = ".corral/local/requests/current.jsonl"
    assert outcome.err == (
        f"5 lines of the log are no request and not counted: {current}:1, {current}:2, {current}:3, …\n"
    )


@pytest.mark.usefixtures("project")
def test_a_stack_that_was_never_served_is_told_with_the_way_out(corral: Corral):
    message = (
        "Stack prod has not been served on this machine: there is no log of requests in .corral/prod/requests. "
        "Serve it with: corral serve --stack prod\n"
    )
    assert corral("usage", "--stack", "prod") == Outcome(1, "", message)


@pytest.mark.usefixtures("project")
def test_a_stack_that_is_not_there_is_told_with_the_nearest_one(corral: Corral):
    message = "stacks/Pulumi.prd.yaml: there is no stack prd: did you mean prod? There are local and prod\n"
    assert corral("usage", "--stack", "prd") == Outcome(2, "", message)


def test_broken_prices_are_told_with_the_way_out(corral: Corral, served: StateFolder):
    served.prices.write_text("{}\n")
    outcome = corral("usage")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.endswith("prices.jsonl:1 is not a list of prices: remove the line\n")
    assert corral("usage", "--prices", "now").status == 0


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "yesterday"), "'yesterday' is not a time: write it like 1h, 7d, 2026-11-01 or 2026-11-01T12:30"),
        (("--by", "hosts"), "'hosts' is not one of tenant, model, host: did you mean host?"),
        (("--by", ""), "'' is not one of tenant, model, host"),
        (("--json", "--csv"), "give --json or --csv, not both"),
        (("--since", "1h", "--until", "2h"), "ends before it begins"),
        (("--prices", "tomorrow"), "'tomorrow' is not one of 'then', 'now'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(corral: Corral, arguments: tuple[str, ...], message: str):
    outcome = corral("usage", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in " ".join(outcome.err.split())
