"""What the gateway says was used is what the hosts have counted, to the token."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families as classic

from corral.local.state_folder import StateFolder
from corral.local.statistics.request_log import Records
from tests.local.gateway import Gateway, serving, until


def priced(model_id: str) -> dict[str, Any]:
    return {"id": model_id, "price": {"input": 0.59, "output": 0.79}}


OTHERS = {"messages": True, "rerank": True}

STACK: dict[str, Any] = {
    "corral:engine": {"simulate": "always", "pagePort": 0},
    "corral:hosts": {
        "groq": {"takes": {"choices": True, **OTHERS}, "models": {"m": priced("groq-m"), "slow": "groq-slow"}},
        "deepinfra": {"takes": OTHERS, "models": {"m": priced("deepinfra-m")}},
    },
    "corral:models": {"m": {"shares": {"groq": 60, "deepinfra": 40}}, "slow": {"shares": {"groq": 100}}},
    "corral:tenants": {"search": {}, "support": {}, "limited": {"requestsPerMinute": 1}},
}

MARKER = "xylophone"
"""In every prompt, header and query that the tests send, and so in what the hosts answer."""

Line = dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("usage") / "project", STACK) as gateway:
        yield gateway


class Account:
    """What three who should know have counted since the account was opened."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._folder = StateFolder.of(gateway.project, gateway.stack)
        self._lines = len(self._all_lines())
        self._hosts = self._counted_by_hosts()
        self._metrics = self._counted_by_metrics()

    def lines(self, number: int) -> list[Line]:
        """The log's new lines, once there are so many."""
        new_lines: list[Line] = until(
            lambda: new if len(new := self._all_lines()[self._lines :]) >= number else None,
            f"{number} lines in the log",
        )
        assert len(new_lines) == number
        return new_lines

    def hosts(self) -> Counter[tuple[str, str]]:
        """Tokens by host and direction, as the hosts say."""
        return self._counted_by_hosts() - self._hosts

    def metrics(self) -> Counter[tuple[str, str]]:
        """The same, as `/metrics` says."""
        return self._counted_by_metrics() - self._metrics

    def _all_lines(self) -> list[Line]:
        files = [*self._folder.ended(), self._folder.current]
        texts = [path.read_text() for path in files if path.exists()]
        return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def _counted_by_hosts(self) -> Counter[tuple[str, str]]:
        with self._gateway.control() as control:
            state = until(lambda: None if (now := control.state()).open else now, "every request has ended")
        counted: Counter[tuple[str, str]] = Counter()
        for count in state.counts:
            counted[count.host, "input"] += count.prompt_tokens
            counted[count.host, "output"] += count.answer_tokens
        return counted

    def _counted_by_metrics(self) -> Counter[tuple[str, str]]:
        counted: Counter[tuple[str, str]] = Counter()
        for family in classic(httpx.get(f"{self._gateway.running.page_url}metrics", timeout=60).text):
            for sample in family.samples:
                if sample.name == "corral_tokens_total":
                    counted[sample.labels["host"], sample.labels["direction"]] += int(sample.value)
        return counted


def in_lines(lines: list[Line]) -> Counter[tuple[str, str]]:
    """Tokens by host and direction, as the log says."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in lines:
        counted[line["host"], "input"] += int(line["input_tokens"] or 0)
        counted[line["host"], "output"] += int(line["output_tokens"] or 0)
    return +counted


def in_usage(gateway: Gateway, *by: str) -> Counter[tuple[str, ...]]:
    """Tokens by these and direction, as `corral usage` says."""
    document = json.loads(gateway.run("usage", "--json", "--by", ",".join(by)).stdout)
    counted: Counter[tuple[str, ...]] = Counter()
    for row in document["rows"]:
        where = tuple(row[dimension] for dimension in by)
        counted[*where, "input"] += row["inputTokens"]
        counted[*where, "output"] += row["outputTokens"]
    return +counted


def key(gateway: Gateway, tenant: str) -> str:
    return json.loads((gateway.project / ".corral" / gateway.stack / "keys.json").read_text())[tenant]


def client(gateway: Gateway, tenant: str = "search") -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url, api_key=key(gateway, tenant), max_retries=0, timeout=60)


def text(number: int) -> str:
    return " ".join([MARKER] * number)


def prompt(number: int) -> list[Any]:
    return [{"role": "system", "content": text(3)}, {"role": "user", "content": text(number)}]


TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def messages(c: openai.OpenAI, **more: Any) -> None:
    """As Anthropic's clients send them."""
    body = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": text(8)}], **more}
    answer = httpx.post(f"{c.base_url}messages", headers={"x-api-key": c.api_key}, json=body, timeout=60)
    assert answer.status_code == 200, answer.text


SCRIPT: list[tuple[str, Callable[[openai.OpenAI], object]]] = [
    ("chat", lambda c: c.chat.completions.create(model="m", messages=prompt(7))),
    ("long", lambda c: c.chat.completions.create(model="m", messages=prompt(250))),
    ("several", lambda c: c.chat.completions.create(model="m", messages=prompt(5), n=3)),
    ("cut by a limit", lambda c: c.chat.completions.create(model="m", messages=prompt(50), max_tokens=4)),
    (
        "a tool",
        lambda c: c.chat.completions.create(model="m", messages=prompt(5), tools=[TOOL], tool_choice="required"),
    ),
    ("stream", lambda c: list(c.chat.completions.create(model="m", messages=prompt(40), stream=True))),
    (
        "stream with usage",
        lambda c: list(
            c.chat.completions.create(
                model="m", messages=prompt(40), stream=True, stream_options={"include_usage": True}
            )
        ),
    ),
    ("several streams", lambda c: list(c.chat.completions.create(model="m", messages=prompt(9), n=2, stream=True))),
    ("completion", lambda c: c.completions.create(model="m", prompt=text(6))),
    ("streamed completion", lambda c: list(c.completions.create(model="m", prompt=text(6), stream=True))),
    ("embedding", lambda c: c.embeddings.create(model="m", input=[text(6), text(2)])),
    ("response", lambda c: c.responses.create(model="m", input=text(8))),
    ("messages", lambda c: messages(c, system=text(2))),
    ("streamed messages", lambda c: messages(c, stream=True)),
    ("ranking", lambda c: c.post("/rerank", cast_to=object, body={"model": "m", "query": text(2), "documents": ["a"]})),
    ("streamed response", lambda c: list(c.responses.create(model="m", input=text(8), stream=True))),
]


@pytest.mark.parametrize("ask", [row[1] for row in SCRIPT], ids=[row[0] for row in SCRIPT])
def test_one_request_is_counted_as_its_host_counts_it(served: Gateway, ask: Callable[[openai.OpenAI], object]) -> None:
    account = Account(served)
    ask(client(served))
    (line,) = account.lines(1)
    counted = account.hosts()
    assert in_lines([line]) == counted == account.metrics()
    assert counted[line["host"], "input"] > 0
    assert (line["tenant"], line["model"], int(line["status"]), line["estimated"]) == ("search", "m", 200, False)


def test_a_scripted_run_of_two_tenants_is_the_same_everywhere(served: Gateway) -> None:
    account = Account(served)
    before = in_usage(served, "host"), in_usage(served, "tenant")
    with ThreadPoolExecutor(8) as pool:
        pending = [
            pool.submit(ask, client(served, tenant))
            for _ in range(4)
            for tenant in ("search", "support")
            for _, ask in SCRIPT
        ]
        for each in pending:
            each.result()
    lines = account.lines(len(pending))
    counted = account.hosts()
    assert in_lines(lines) == counted == account.metrics() == in_usage(served, "host") - before[0]
    of_tenants = in_usage(served, "tenant") - before[1]
    assert (
        of_tenants["search", "input"]
        == of_tenants["support", "input"]
        == sum(number for (_, direction), number in counted.items() if direction == "input") / 2
    )


def test_an_answer_from_the_second_host_is_counted_at_that_one(served: Gateway) -> None:
    account = Account(served)
    with served.control() as control:
        control.set_fault("groq", "503")
        try:
            for _ in range(3):
                client(served).chat.completions.create(model="m", messages=prompt(7))
        finally:
            control.clear_fault("groq")
    lines = account.lines(3)
    assert {line["host"] for line in lines} == {"deepinfra"}
    assert in_lines(lines) == account.hosts() == account.metrics()


Asking = Callable[[openai.OpenAI], openai.Stream[Any]]

STREAMS: list[tuple[str, Asking]] = [
    ("chat", lambda c: c.chat.completions.create(model="slow", messages=prompt(99), stream=True)),
    ("two chats", lambda c: c.chat.completions.create(model="slow", messages=prompt(99), n=2, stream=True)),
    ("completion", lambda c: c.completions.create(model="slow", prompt=text(99), stream=True)),
    ("response", lambda c: c.responses.create(model="slow", input=text(99), stream=True)),
]


@pytest.mark.parametrize("ask", [row[1] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_of_a_stream_that_its_client_leaves_the_pieces_that_came_are_counted(served: Gateway, ask: Asking) -> None:
    account = Account(served)
    with served.control() as control:
        control.set_speed("groq", tokens_per_second=1)
        try:
            with ask(client(served)) as stream:
                pieces = (chunk for chunk in stream if MARKER in chunk.model_dump_json())
                next(pieces)
            (line,) = account.lines(1)
        finally:
            control.set_speed("groq")
    assert (line["estimated"], line["input_tokens"], line["flags"]) == (True, None, "DC")
    counted = account.hosts()["groq", "output"]
    assert 0 < int(line["output_tokens"]) == counted == account.metrics()["groq", "output"]


def test_a_client_that_leaves_before_the_answer_begins_leaves_what_it_cost_unknown(served: Gateway) -> None:
    account = Account(served)
    with served.control() as control:
        control.set_speed("groq", latency=60_000)
        try:
            with pytest.raises(openai.APITimeoutError):
                client(served).chat.completions.create(model="slow", messages=prompt(5), timeout=1)
            (line,) = account.lines(1)
        finally:
            control.set_speed("groq")
    assert (line["status"], line["host"], line["input_tokens"], line["output_tokens"]) == (0, "groq", None, None)
    document = json.loads(served.run("usage", "--json").stdout)
    assert document["total"]["uncountedRequests"] > 0


def test_of_a_stream_that_its_host_breaks_off_the_pieces_that_came_are_counted(served: Gateway) -> None:
    account = Account(served)
    with served.control() as control:
        control.set_fault("groq", "reset-mid-stream")
        try:
            with pytest.raises((openai.APIError, httpx.HTTPError)):
                list(client(served).chat.completions.create(model="slow", messages=prompt(60), stream=True))
        finally:
            control.clear_fault("groq")
    (line,) = account.lines(1)
    assert line["estimated"] is True
    assert 0 < int(line["output_tokens"]) <= account.hosts()["groq", "output"]


REFUSED: list[tuple[str, dict[str, Any], int, str | None, str | None]] = [
    ("an unknown model", {"model": "nobody-s"}, 404, "search", None),
    ("no model", {}, 400, "search", None),
    ("a wrong request", {"model": "m", "messages": text(3)}, 400, "search", "m"),
]


@pytest.mark.parametrize(
    ("body", "status", "tenant", "model"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_is_refused_is_in_the_log_without_tokens(
    served: Gateway, body: dict[str, Any], status: int, tenant: str | None, model: str | None
) -> None:
    account = Account(served)
    headers = {"authorization": f"Bearer {key(served, 'search')}"}
    answer = httpx.post(f"{served.url}/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == status
    (line,) = account.lines(1)
    assert (int(line["status"]), line["tenant"], line["model"], line["input_tokens"], line["output_tokens"]) == (
        status,
        tenant,
        model,
        None,
        None,
    )


def test_a_request_that_a_limit_refuses_is_in_the_log_with_its_model_and_the_limit(served: Gateway) -> None:
    account = Account(served)
    client(served, "limited").chat.completions.create(model="m", messages=prompt(2))
    with pytest.raises(openai.RateLimitError):
        client(served, "limited").chat.completions.create(model="m", messages=prompt(2))
    _, line = account.lines(2)
    fields = {name: line[name] for name in ("status", "tenant", "model", "host", "limit")}
    assert fields == {"status": 429, "tenant": "limited", "model": "m", "host": None, "limit": "requests"}


def test_without_tenants_too_a_model_that_is_not_there_is_none(project: Path) -> None:
    stack = {key: value for key, value in STACK.items() if key != "corral:tenants"}
    with serving(project, stack) as gateway:
        account = Account(gateway)
        for model in ("m", MARKER):
            httpx.post(f"{gateway.url}/chat/completions", json={"model": model, "messages": prompt(1)}, timeout=60)
        assert [(line["tenant"], line["model"], line["status"]) for line in account.lines(2)] == [
            (None, "m", 200),
            (None, None, 404),
        ]


def test_no_word_of_a_prompt_no_key_and_no_query_is_written_down(served: Gateway) -> None:
    account = Account(served)
    ours = key(served, "search")
    body = {"model": "m", "messages": prompt(5), "user": MARKER}
    url = f"{served.url}/chat/completions?key={MARKER}"
    for secret in (ours, f"sk-{MARKER}"):
        headers = {"authorization": f"Bearer {secret}", "x-note": MARKER, "user-agent": MARKER, "referer": MARKER}
        httpx.post(url, json=body, headers=headers, timeout=60)
        httpx.post(url, json=body, headers={**headers, "x-request-id": MARKER, "x-corral-model": MARKER}, timeout=60)
        httpx.post(url, json={**body, "model": MARKER}, headers=headers, timeout=60)
    account.lines(6)
    folder = StateFolder.of(served.project, "test")
    files = [path for path in folder.root.rglob("*") if path.is_file() and path != folder.generated_keys]
    written = "".join(path.read_text() for path in files)
    written += httpx.get(f"{served.running.page_url}metrics", timeout=60).text + served.run("usage").stdout
    assert (MARKER in written, ours in written) == (False, False)


def test_files_that_end_under_load_lose_no_request(served: Gateway) -> None:
    account = Account(served)
    folder = StateFolder.of(served.project, served.stack)
    ended = len(folder.ended())

    def ask(number: int) -> None:
        with client(served) as asking:
            for _ in range(number):
                asking.chat.completions.create(model="m", messages=prompt(2))

    async def rotate() -> int:
        records = Records(folder, print, largest=4_000)
        records.keep = timedelta(days=1)
        with ThreadPoolExecutor(3) as pool:
            pending = [pool.submit(ask, 60) for _ in range(3)]
            while not all(each.done() for each in pending) or len(folder.ended()) < ended + 2:
                records.rotate()
                await asyncio.sleep(0.01)
            for each in pending:
                each.result()
        return len(pending) * 60

    number = asyncio.run(rotate())
    assert in_lines(account.lines(number)) == account.hosts()
    assert len(folder.ended()) >= ended + 2
