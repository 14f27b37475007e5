"""Budgets as tenants meet them: a real Envoy with its workers, clients that hang up, and an Envoy that is killed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from itertools import repeat
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from corral.local.budgets import spent
from corral.local.state_folder import StateFolder
from corral.plan.credentials import hash_of
from tests.local.gateway import Gateway, serving, until

PRICES = {"groq": {"input": 1, "output": 10}, "deepinfra": {"input": 2, "output": 5}}
"""Dollars for a million tokens, and so micro-dollars for one; `slow` costs as much."""
BUDGETS: dict[str, dict[str, Any]] = {
    "many": {"day": 0.03},
    "leaving": {"day": 1},
    "killed": {"day": 1, "month": 30},
    "dead": {"month": 1},
}
KEYS = {tenant: f"sk-corral-{tenant}-0123456789abcdef" for tenant in BUDGETS}
STACK: dict[str, Any] = {
    "corral:engine": {"simulate": "always", "pagePort": 0},
    "corral:hosts": {
        host: {
            "models": {
                model: {"id": f"{host}-{model}", "price": {**price}, "context": 8_000} for model in ("m", "silent")
            }
        }
        for host, price in PRICES.items()
    },
    "corral:models": {
        "m": {"shares": {"groq": 60, "deepinfra": 40}},
        "silent": {"shares": {"groq": 100}},
    },
    "corral:tenants": {
        tenant: {"keys": [f"sha256:{hash_of(KEYS[tenant])}"], "budget": budget} for tenant, budget in BUDGETS.items()
    },
}
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
AROUND_PROMPT = 1_024
MICRO_DOLLAR = 10**6


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("budgets") / "project", STACK) as gateway:
        with gateway.control() as control:
            control.set_fault("groq", "hang", model="groq-silent")
        yield gateway


def used(gateway: Gateway, tenant: str) -> int:
    """Micro-dollars."""
    folder, running = StateFolder.of(gateway.project, gateway.stack), gateway.running
    rehearsal = all(running.simulated.values())
    of_day = spent(folder.rehearsed_budgets if rehearsal else folder.budgets, running.plan)[tenant].day
    assert of_day % MICRO_DOLLAR == 0
    return of_day // MICRO_DOLLAR


def post(gateway: Gateway, tenant: str, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {KEYS[tenant]}"}
    return httpx.post(f"{gateway.url}/chat/completions", json={**BODY, **more}, headers=headers, timeout=60)


def cost(answer: httpx.Response) -> int:
    price, usage = PRICES[answer.headers["x-corral-host"]], answer.json()["usage"]
    return usage["prompt_tokens"] * price["input"] + usage["completion_tokens"] * price["output"]


def most(body: dict[str, Any]) -> int:
    return (len(json.dumps(body, separators=(",", ":"))) + AROUND_PROMPT) * 1 + body["max_tokens"] * 10


def test_of_a_thousand_requests_at_the_last_dollar_none_overspends_it(gateway: Gateway) -> None:
    headers, urls = {"authorization": f"Bearer {KEYS['many']}"}, repeat(f"{gateway.url}/chat/completions", 1_000)
    with httpx.Client(headers=headers, timeout=60) as client, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda url: client.post(url, json=BODY), urls))
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer.json()["error"]["code"] for answer in answers if answer.status_code == 429]
    assert served
    assert (len(served) + len(refused), {*refused}) == (1_000, {"insufficient_quota"})
    until(lambda: used(gateway, "many") == sum(map(cost, served)), "what was spent is what was answered")
    assert used(gateway, "many") <= 30_000
    limited = "corral.limited.tenant.many.model.m.limit.budget"
    until(
        lambda: gateway.gauges(r"^corral\.limited").get(limited) == len(refused), "those who were refused are counted"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_answer_has_spent_what_it_could_cost(gateway: Gateway, stream: bool) -> None:
    before = used(gateway, "leaving")
    body = {**BODY, "model": "silent", "stream": stream}
    with closing(HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)) as client:
        headers = {"authorization": f"Bearer {KEYS['leaving']}", "content-type": "application/json"}
        client.request("POST", "/v1/chat/completions", json.dumps(body, separators=(",", ":")), headers)
        until(lambda: used(gateway, "leaving") == before + most(body), "it is under way")
    until(
        lambda: not gateway.gauges(r"^http\.gateway\.downstream_rq_active$")["http.gateway.downstream_rq_active"],
        "it has left",
    )
    assert used(gateway, "leaving") == before + most(body)


def test_what_was_spent_outlives_an_envoy_that_is_killed(gateway: Gateway) -> None:
    first = cost(post(gateway, "killed"))
    assert used(gateway, "killed") == first
    status = gateway.run("status").stdout.splitlines()
    (row,) = [line.split() for line in status if line.split()[:2] == ["killed", "day"]]
    assert row[2:4] == ["$1.00", "$0.00"]
    (envoy,) = [each for each in psutil.Process(gateway.running.pid).children() if "envoy" in each.name()]
    body = {**BODY, "model": "silent"}
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(post, gateway, "killed", **body)
        until(lambda: used(gateway, "killed") == first + most(body), "another is under way")
        envoy.kill()
        with pytest.raises(httpx.HTTPError):
            under_way.result()

    def again() -> httpx.Response | None:
        try:
            return post(gateway, "killed")
        except httpx.HTTPError:
            return None

    second = until(again, "it answers again")
    assert second.status_code == 200
    until(lambda: used(gateway, "killed") == first + most(body) + cost(second), "it counts on")


def test_a_host_that_is_not_there_and_one_that_is_simulated_beside_real_ones_cost_nothing(gateway: Gateway) -> None:
    assert post(gateway, "dead").status_code == 200
    rehearsed = used(gateway, "dead")
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        models = {"gone": {"id": "Gone", "price": {**PRICES["groq"]}}}
        lab = {"kind": "openai", "auth": "none", "url": url, "models": models}
        gateway.move(
            {
                **STACK,
                "corral:engine": {"simulate": "withoutKey", "pagePort": 0},
                "corral:hosts": {**STACK["corral:hosts"], "lab": lab},
                "corral:models": {**STACK["corral:models"], "gone": {"shares": {"lab": 100}}},
            }
        )
        answers = [post(gateway, "dead", model=model).status_code for model in ("m", "gone")]
        of_real_hosts = used(gateway, "dead")
    gateway.move(STACK)
    assert (answers, of_real_hosts, used(gateway, "dead")) == ([200, 503], 0, rehearsed)
    assert rehearsed > 0
