"""Names, amounts, times, days, prices and addresses, as they may be written."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from corral.catalog import patterns, units

TOKENS, TIME, SIZE = map(TypeAdapter[Any], (units.Tokens, units.Milliseconds, units.Bytes))
DAY, DOLLARS = map(TypeAdapter[Any], (units.Day, units.MicroDollars))
URL, ADDRESS, HOST, MODEL = map(
    TypeAdapter[Any], (patterns.Url, patterns.Address, patterns.HostName, patterns.ModelName)
)
SUBDOMAIN, VARIABLE = map(TypeAdapter[Any], (patterns.Subdomain, patterns.Variable))


@pytest.mark.parametrize(
    ("adapter", "written", "want"),
    [
        (TOKENS, "200k", 200_000), (TOKENS, "900M", 900_000_000), (TOKENS, "1.5B", 1_500_000_000),
        (TOKENS, "7", 7), (TOKENS, 7, 7), (TOKENS, "0.001k", 1), (TOKENS, "999999999999999B", 999999999999999 * 10**9),
        (TIME, "500ms", 500), (TIME, "30s", 30_000), (TIME, "5m", 300_000), (TIME, "1h", 3_600_000),
        (TIME, "0.5s", 500),
        (SIZE, "50Mi", 52_428_800), (SIZE, "512Ki", 524_288), (SIZE, "1Gi", 2**30), (SIZE, 1_048_576, 2**20),
        (DAY, "2026-07-06", date(2026, 7, 6)), (DAY, "2026-07-06T00:00:00Z", date(2026, 7, 6)),
        (DAY, date(2026, 7, 6), date(2026, 7, 6)),
        (DOLLARS, 0.72, 720_000), (DOLLARS, "0.88", 880_000), (DOLLARS, 3, 3_000_000), (DOLLARS, 0, 0),
        (DOLLARS, 0.000001, 1), (DOLLARS, "0.10", 100_000),
        (URL, "https://llm.lab.example.com/v1/", "https://llm.lab.example.com/v1"), (URL, "http://[::1]:8000", "http://[::1]:8000"),
        (URL, "http://10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1"),
        (ADDRESS, "0.0.0.0", "0.0.0.0"), (ADDRESS, "::0001", "::1"),
        (HOST, "a" * 40, "a" * 40), (HOST, "0", "0"), (HOST, "bedrock-us-east-1", "bedrock-us-east-1"),
        (MODEL, "meta-llama/Llama-3.3:70B", "meta-llama/Llama-3.3:70B"), (MODEL, "a" * 128, "a" * 128),
        (SUBDOMAIN, "corral-prod", "corral-prod"), (VARIABLE, "GROQ_API_KEY", "GROQ_API_KEY"),
    ],
)  # fmt: skip
def test_what_is_written_is_read(adapter: TypeAdapter[Any], written: object, want: object):
    assert _read(adapter, written) == want


@pytest.mark.parametrize(
    ("adapter", "written"),
    [
        *((TOKENS, value) for value in ("", "k", "-1", "1K", "1 k", "1.5", "0", 0, -1, 1.5, True, None, "1e3", "٣k",
                                        "9" * 16, "0.0001k", [], {})),
        *((TIME, value) for value in (30, "30", "0s", "1d", "0.1ms", "1H", True)),
        *((SIZE, value) for value in ("50MB", "50M", "0", "0.0001Ki", 0)),
        *((DAY, value) for value in ("2026-7-6", "20260706", "2026-02-30", "2026-W27-1", "soon", 2026, None,
                                     "2026-07-06T01:00:00Z", "0000-01-01")),
        *((DOLLARS, value) for value in (-1, "-1", "1e3", "1e999999", "NaN", "", "$1", True, float("nan"), float("inf"),
                                         1e300, 10**6, 0.0000001, "0.0000001", 0.1 + 0.2, None)),
        *((URL, value) for value in ("", "llm.example.com", "ftp://a", "https://", "https:///v1", "https://a?b",
                                     "https://a#b", "https://u@a", "https://a b", "https://a:0", "https://a:99999",
                                     "https://a:x", "https://[::1", "https://{region}.a")),
        *((ADDRESS, value) for value in ("localhost", "256.0.0.1", "", "10.0.0.0/8", 1)),
        *((HOST, value) for value in ("", "A", "a_b", "-a", "a-", "a" * 41, "a.b", "a\n", 7)),
        *((MODEL, value) for value in ("", "-a", "a b", "a" * 129, "a\n", "ä")),
        *((SUBDOMAIN, value) for value in ("", "A", "a.b", "-a")),
        *((VARIABLE, value) for value in ("", "lower", "sk-1", "1A", "A\n")),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(adapter: TypeAdapter[Any], written: object):
    with pytest.raises(ValidationError):
        _read(adapter, written)


@given(st.integers(0, 10**12 - 1))
def test_dollars_lose_no_micro_dollar(micro: int):
    assert _read(DOLLARS, str(Decimal(micro) / 1_000_000)) == micro


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary()))
def test_a_value_is_read_or_refused_and_nothing_else(value: object):
    for adapter in (TOKENS, TIME, SIZE, DAY, DOLLARS, URL, ADDRESS, HOST, MODEL, SUBDOMAIN, VARIABLE):
        errors = 0
        try:
            _read(adapter, value)
        except ValidationError as refused:
            errors = refused.error_count()
        assert errors <= 1


def _read(adapter: TypeAdapter[Any], value: object) -> Any:
    return adapter.validate_python(value, strict=True)
