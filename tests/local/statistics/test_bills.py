"""Bills as their senders write them, and why they differ from what was metered: to the last millionth."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.bills import Billed, Cause, Charge, Reconciled, read_bill, reconcile
from corral.local.statistics.cost import DOLLAR, UsageError
from corral.local.statistics.usage import Group, Sums
from tests.plan.world import LLAMA, SCOUT, build

DAY = date(2026, 11, 21)
CUR = (
    "line_item_line_item_type,line_item_product_code,line_item_usage_type,line_item_usage_start_date,"
    "line_item_usage_amount,pricing_unit,line_item_unblended_cost,line_item_currency_code\n"
)
CUR_ROWS = (
    "Usage,AmazonBedrock,USE1-Llama3-3-70B-input-tokens,2026-11-21T00:00:00.000Z,1.5,1K tokens,0.00108,USD\n"
    "Usage,AmazonBedrock,USE1-Llama3-3-70B-output-tokens,2026-11-21T00:00:00.000Z,2,1K tokens,0.00144,USD\n"
    "Usage,AmazonBedrock,USW2-Llama4-Scout-17B-cache-read-input-token-count,2026-11-21,3,1K tokens,0.0001,USD\n"
    "Usage,AmazonBedrock,USE1-NovaLite-mantle-input-tokens-standard,2026-11-22T00:00:00.000Z,1,1K tokens,1,USD\n"
    "Tax,AmazonBedrock,USE1-Llama3-3-70B-input-tokens,2026-11-21T00:00:00.000Z,1,1K tokens,0.1,USD\n"
    "Usage,AmazonBedrock,USE1-Guardrail-ContentPolicyUnitsConsumed,2026-11-21T00:00:00.000Z,1,1K units,0.1,USD\n"
    "Usage,AmazonEC2,BoxUsage:m5.large,2026-11-21T00:00:00.000Z,1,Hrs,0.1,USD\n"
)
AZURE = (
    "Date,MeterCategory,MeterSubCategory,MeterName,Quantity,UnitOfMeasure,CostInBillingCurrency,BillingCurrency\n"
    "11/21/2026,Foundry Models,Meta Llama,Llama 3.3 70B Inp glbl,1.5,1K,0.001065,USD\n"
    "2026-11-21,Foundry Models,Meta Llama,Llama 3.3 70B Outp glbl,0.002,1M,0.00142,USD\n"
    "11/21/2026,Foundry Models,Meta Llama,Llama 3.3 70B Cached Inp,1,1K,0.0001,USD\n"
    "11/21/2026,Virtual Machines,Dv3,D2 v3,24,1 Hour,2.4,USD\n"
)
PLAIN = f"host,model,kind,tokens,dollars,day\nlab,{LLAMA},input,1500,0.5,2026-11-21\nlab,{LLAMA},output,20,0.25,\n"


def test_aws_s_report_is_read_by_its_usage_types_and_whatever_else_is_charged_is_left():
    assert read_bill(gzip.compress((CUR + CUR_ROWS).encode()), "cur.csv.gz") == [
        Charge("bedrock", True, "Llama3-3-70B", "input", 1_500, 1_080_000_000, DAY),
        Charge("bedrock", True, "Llama3-3-70B", "output", 2_000, 1_440_000_000, DAY),
        Charge("bedrock", True, "Llama4-Scout-17B", "cached", 3_000, 100_000_000, DAY),
        Charge("bedrock", True, "NovaLite", "input", 1_000, DOLLAR, date(2026, 11, 22)),
    ]


def test_azure_s_export_is_read_by_the_words_of_its_meters_in_any_spelling_of_its_columns():
    want = [
        Charge("azure", True, "Meta Llama Llama 3.3 70B Inp glbl", "input", 1_500, 1_065_000_000, DAY),
        Charge("azure", True, "Meta Llama Llama 3.3 70B Outp glbl", "output", 2_000, 1_420_000_000, DAY),
        Charge("azure", True, "Meta Llama Llama 3.3 70B Cached Inp", "cached", 1_000, 100_000_000, DAY),
    ]
    head, rows = AZURE.split("\n", 1)
    camel = (
        "date,meterCategory,meterSubCategory,meterName,quantity,unitOfMeasure,costInBillingCurrency,BillingCurrencyCode"
    )
    assert read_bill(AZURE.encode("utf-8-sig"), "a.csv") == want == read_bill(f"{camel}\n{rows}".encode(), "b.csv")
    assert head


def test_a_plain_bill_names_hosts_and_models_of_the_stack():
    assert read_bill(PLAIN.encode(), "lab.csv") == [
        Charge("lab", False, LLAMA, "input", 1_500, DOLLAR // 2, DAY),
        Charge("lab", False, LLAMA, "output", 20, DOLLAR // 4, None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8bno gzip", "x.csv cannot be read: "),
        (b"\xff\xfe", "x.csv cannot be read: "),
        (b"a,b\n1,2\n", "is no bill that is known: it lacks dollars, host, kind, model, tokens. It must be"),
        ((CUR + CUR_ROWS).replace("0.00108,USD", "0.00108,EUR").encode(), "it is in EUR, and prices are in USD"),
        (
            (CUR + CUR_ROWS).replace("1K tokens,0.00108", "1K images,0.00108").encode(),
            "'1K images' is no unit of tokens",
        ),
        (PLAIN.replace(",input,", ",prompt,").encode(), "'prompt' is none of input, cached, output"),
        (PLAIN.replace("0.25", "free").encode(), "x.csv has a line that cannot be read"),
        (PLAIN.replace("0.25,", "").encode(), "x.csv has a line that cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(content: bytes, message: str):
    with pytest.raises(UsageError) as refused:
        read_bill(content, "x.csv")
    assert message in str(refused.value)


PLAN = build(
    {LLAMA: {"shares": {"bedrock": 60, "azure": 40}, "fallback": ["lab"]}, SCOUT: {"shares": {"bedrock": 100}}},
    {
        "bedrock": {
            "models": {LLAMA: {"id": "us.meta.llama3-3", "price": {"input": 1, "output": 2, "cachedInput": 0.5}}}
        }
    },
)
"""A million tokens at bedrock cost 1, 0.5 and 2 dollars."""
SUMS = Sums(requests=10, input_tokens=1_000, cached_tokens=200, output_tokens=500, millionths=1_900 * 10**6)


def row(billed: Billed, metered: Sums = SUMS, retries: int = 0) -> Reconciled:
    """Llama at bedrock; the retries are those of requests that azure answered."""
    lines: tuple[tuple[str, int], ...] = (("input", billed.input), ("cached", billed.cached), ("output", billed.output))
    charges = [
        Charge("bedrock", True, "Llama3-3-70B", kind, tokens, billed.millionths if kind == "input" else 0, DAY)  # pyright: ignore[reportArgumentType]
        for kind, tokens in lines
    ]
    others = {(LLAMA, "azure"): Sums(requests=1, retries=retries), (LLAMA, None): Sums(requests=3)}
    (only,) = reconcile(charges, {(LLAMA, "bedrock"): metered, **others}, PLAN)
    return only


EXACT = Billed(800, 200, 500, SUMS.millionths)
CAUSES: dict[str, tuple[Reconciled, list[Cause]]] = {
    "nothing": (row(EXACT), []),
    "cached tokens": (
        row(replace(EXACT, input=1_000, cached=0, millionths=2_000 * 10**6)),
        [Cause("cached tokens: billed as others", 100 * 10**6)],
    ),
    "retries, as many as there were": (
        row(replace(EXACT, input=1_100, millionths=2_200 * 10**6), retries=2),
        [
            Cause("retries billed twice: at most, of 2 of the model", 200 * 10**6, 200),
            Cause("not through this gateway, or gone from its log", 100 * 10**6, 100),
        ],
    ),
    "requests without a count": (
        row(replace(EXACT, input=900, millionths=2_000 * 10**6), replace(SUMS, uncounted=3)),
        [Cause("requests without a count: 3", 100 * 10**6, 100)],
    ),
    "answers that were cut off": (
        row(replace(EXACT, output=480, millionths=1_860 * 10**6), replace(SUMS, estimated_tokens=50)),
        [Cause("answers that were cut off: their tokens are an estimate", -40 * 10**6, -20)],
    ),
    "what is not billed yet": (
        row(replace(EXACT, output=400, millionths=1_700 * 10**6), replace(SUMS, simulated=4)),
        [Cause("metered and not billed, or not yet (4 requests were simulated)", -200 * 10**6, -100)],
    ),
    "the price": (
        row(replace(EXACT, millionths=2_000 * 10**6)),
        [Cause("price: another than the stack has", 100 * 10**6)],
    ),
}


@pytest.mark.parametrize("what", CAUSES)
def test_a_difference_has_its_cause(what: str):
    reconciled, causes = CAUSES[what]
    assert list(reconciled.causes) == causes
    assert reconciled.drifts(1) == bool(causes)


NUMBERS = st.integers(0, 10**9)


@given(st.builds(Billed, NUMBERS, NUMBERS, NUMBERS, NUMBERS), NUMBERS, NUMBERS, NUMBERS, st.integers(0, 9), NUMBERS)
def test_the_causes_sum_to_the_difference_in_tokens_and_money(
    billed: Billed, prompts: int, answers: int, spent: int, uncounted: int, estimated: int
):
    metered = Sums(5, input_tokens=prompts, output_tokens=answers, uncounted=uncounted, estimated_tokens=estimated)
    reconciled = row(billed, replace(metered, millionths=spent), retries=uncounted)
    assert sum(cause.millionths for cause in reconciled.causes) == reconciled.difference
    tokens = billed.input + billed.cached + billed.output - prompts - answers
    assert sum(cause.tokens for cause in reconciled.causes) == tokens


def test_hosts_of_one_cloud_are_one_row_and_what_no_model_is_stands_by_its_own_name():
    two = build(
        {LLAMA: {"shares": {"bedrock": 60, "west": 40}}},
        {"west": {"kind": "bedrock", "region": "us-west-2"}},
    )
    charges = read_bill((CUR + CUR_ROWS).encode(), "cur.csv")
    metered: dict[Group, Sums] = {
        (LLAMA, "bedrock"): Sums(1, input_tokens=1_000),
        (LLAMA, "west"): Sums(1, input_tokens=500),
    }
    rows = [
        (each.host, each.model, each.metered.input_tokens, each.billed.tokens, each.planned)
        for each in reconcile(charges, metered, two)
    ]
    assert rows == [
        ("bedrock", "Llama4-Scout-17B", 0, 3_000, False),
        ("bedrock", "NovaLite", 0, 1_000, False),
        ("bedrock + west", LLAMA, 1_500, 3_500, True),
    ]


def test_what_has_no_price_is_unpriced_and_drifts():
    unpriced = build({LLAMA: {"shares": {"groq": 100}}})
    charges = [Charge("groq", False, LLAMA, "input", 100, 7, None)]
    (only,) = reconcile(charges, {(LLAMA, "groq"): Sums(1, input_tokens=100, unpriced_tokens=100)}, unpriced)
    assert (only.causes, only.drifts(1)) == ((Cause("unpriced: what this should cost is not known", 7, 0),), True)
