"""`/metrics` of a running gateway, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic
from starlette.applications import Starlette
from starlette.routing import Route

from corral.local.admin import Admin
from corral.local.page.server import numbers_route
from corral.local.statistics.prometheus import Metrics
from corral.local.statistics.status import Reload
from corral.local.statistics.totals import Totals
from tests.local.gateway import TWO_HOSTS, Gateway, chat, serving, until
from tests.plan.world import LLAMA, build

ODD = "org/with:odd.host.name"
STACK: dict[str, Any] = copy.deepcopy(TWO_HOSTS)
STACK["corral:engine"] |= {"pagePort": 0}
STACK["corral:hosts"]["groq"]["models"][ODD] = {"id": "groq-odd", "price": {"input": 1_000, "output": 3_000}}
STACK["corral:models"][ODD] = {"shares": {"groq": 100}}

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("metrics") / "project", STACK) as gateway:
        yield gateway


def metrics(gateway: Gateway, accept: str = "") -> httpx.Response:
    answer = httpx.get(f"{gateway.running.page_url}metrics", headers={"accept": accept}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def values(gateway: Gateway) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in classic(metrics(gateway).text)
        for sample in family.samples
    }


def by(samples: Values, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """The numbers of one metric, added up by these labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for (of, pairs), value in samples.items():
        if of == name:
            tags = dict(pairs)
            assert tags["stack"] == "test"
            sums[tuple(tags[label] for label in labels)] += int(value)
    return +sums


def test_requests_are_counted_by_the_names_of_the_stack_whatever_is_in_them(gateway: Gateway) -> None:
    before = by(values(gateway), "corral_requests_total", "model", "host", "code")
    for model in (*["m"] * 6, *[ODD] * 3, "nobody-s"):
        chat(gateway.url, model)
    after = by(values(gateway), "corral_requests_total", "model", "host", "code") - before
    hosts = after.pop(("m", "groq", "200")) + after.pop(("m", "deepinfra", "200"))
    assert (hosts, after) == (6, {(ODD, "groq", "200"): 3, ("", "", "404"): 1})


def test_both_formats_say_the_same_in_prometheus_s_own_words(gateway: Gateway) -> None:
    chat(gateway.url)
    plain, open_ = metrics(gateway), metrics(gateway, "application/openmetrics-text; version=1.0.0")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert open_.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family.type for family in classic(plain.text)}
    assert families.keys() == {family.name for family in openmetrics(open_.text)}
    assert families.keys() >= {"corral_requests", "corral_share_percent", "corral_request_duration_seconds"}


def test_times_are_counted_in_seconds(gateway: Gateway) -> None:
    chat(gateway.url, ODD)
    until(
        lambda: by(values(gateway), "corral_request_duration_seconds_count", "model", "host")[ODD, "groq"],
        "Envoy has brought its histograms up to date",
    )
    buckets = by(values(gateway), "corral_request_duration_seconds_bucket", "model", "host", "le")
    bounds = sorted(float(bound) for model, _, bound in buckets if model == ODD)
    assert bounds[-1] == float("inf")
    assert 60 <= bounds[-2] <= 3_600


def test_shares_and_ejected_hosts_are_told(gateway: Gateway) -> None:
    shares = by(values(gateway), "corral_share_percent", "model", "host")
    assert shares == {("m", "groq"): 60, ("m", "deepinfra"): 40, (ODD, "groq"): 100}
    with gateway.control() as control:
        control.set_fault("groq", "503")
        try:
            while not by(values(gateway), "corral_host_ejected", "model", "host")["m", "groq"]:
                chat(gateway.url)
        finally:
            control.clear_fault("groq")


def cost(gateway: Gateway) -> float:
    """Dollars that the model with the odd name has cost, as Prometheus reads them."""
    samples = values(gateway)
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "corral_cost_dollars_total" and ("model", ODD) in labels
    )


def test_a_new_price_is_for_what_comes_after_it_and_the_log_says_the_same(gateway: Gateway) -> None:
    def one_more() -> float:
        usage = chat(gateway.url, ODD).json()["usage"]
        price = gateway.running.plan.models[1].targets[0].price
        assert price
        return (usage["prompt_tokens"] * price.input + usage["completion_tokens"] * price.output) / 10**12

    before = cost(gateway)
    want = before + one_more()
    assert cost(gateway) == pytest.approx(want)
    want += one_more()
    dearer = copy.deepcopy(STACK)
    dearer["corral:hosts"]["groq"]["models"][ODD]["price"] = {"input": 7_000, "output": 500_000}
    gateway.move(dearer)
    want += one_more()
    assert cost(gateway) == pytest.approx(want)
    gateway.move(STACK)

    def in_the_log() -> float:
        rows = json.loads(gateway.run("usage", "--json", "--by", "model").stdout)["rows"]
        return sum(row["costMicroDollars"] for row in rows if row["model"] == ODD) / 10**6

    until(lambda: in_the_log() == pytest.approx(want), "the log has the last request")


def test_no_counter_goes_backwards_when_envoy_dies(gateway: Gateway) -> None:
    for _ in range(5):
        chat(gateway.url)
    before = values(gateway)
    counters = [key for key in before if key[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    (envoy,) = (
        child for child in psutil.Process(gateway.running.pid).children() if child.exe().rpartition("/")[2] == "envoy"
    )
    os.kill(envoy.pid, signal.SIGKILL)
    until(lambda: "Envoy serves again." in gateway.said(), "Envoy serves again")
    after = values(gateway)
    assert [key for key in counters if after[key] < before[key]] == []
    chat(gateway.url)
    requests = sum(by(values(gateway), "corral_requests_total", "code").values())
    assert requests == 1 + sum(by(before, "corral_requests_total", "code").values())


async def request(route: Route) -> httpx.Response:
    app = httpx.ASGITransport(Starlette(routes=[route]))
    async with httpx.AsyncClient(transport=app, base_url="http://page") as client:
        return await client.get("/metrics")


def test_while_envoy_does_not_answer_there_are_no_metrics(tmp_path: Path) -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}})

    async def metrics(accept: str) -> tuple[bytes, str]:
        now = datetime.now(UTC)
        totals = Totals(Admin(tmp_path / "nobody.sock"), lambda: 1)
        return await Metrics(totals).expose(plan, Reload(None, now, now), accept=accept)

    answer = asyncio.run(request(numbers_route("/metrics", metrics)))
    assert answer.status_code == 503
    assert answer.text.startswith("Envoy's admin interface does not answer: ")
