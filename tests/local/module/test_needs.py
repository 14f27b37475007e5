"""What a request needs of its host decides who gets it, and not the draw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.catalog.catalog import OTHER_APIS, Takes
from corral.local.envoy.module import plan_text
from corral.local.envoy.upstream import Upstream
from corral.plan.plan import Plan
from tests.local.module.asking import Asked, asked, error
from tests.local.module.worker import Worker
from tests.plan.world import LLAMA, build

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


def image(url: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"detail": "low", "url": url}}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}


@dataclass(frozen=True)
class Asks:
    """A part of a request, the facts of `Takes` it needs, and the parameter that asks for it."""

    body: dict[str, Any]
    facts: tuple[str, ...]
    param: str | None = None
    path: str = CHAT


ASKS = [
    Asks({"stream": True}, ("streaming",), "stream"),
    Asks({"tools": TOOLS}, ("tools",), "tools"),
    Asks({"tools": TOOLS, "stream": True}, ("tools", "streaming", "tools_while_streaming"), "tools"),
    Asks({"tools": TOOLS, "tool_choice": "required"}, ("tools", "tool_choice"), "tool_choice"),
    Asks({"tools": TOOLS, "tool_choice": {"type": "function"}}, ("tools", "tool_choice"), "tool_choice"),
    Asks(image("data:image/png;base64,aHR0cA=="), ("vision",), "messages"),
    Asks(image("https://example.com/a.png"), ("vision", "image_urls"), "messages"),
    Asks({"response_format": {"type": "json_object"}}, ("json_mode",), "response_format"),
    Asks(
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
        ("json_schema",),
        "response_format",
    ),
    Asks({"n": 2}, ("choices",), "n"),
    Asks({"logprobs": True}, ("logprobs",), "logprobs"),
    Asks({"top_logprobs": 3}, ("logprobs",), "logprobs"),
    Asks({"logprobs": 0}, ("completions", "logprobs"), "logprobs", "/v1/completions"),
    Asks({"seed": 0}, ("seed",), "seed"),
    Asks({"presence_penalty": 0.5}, ("penalties",), "presence_penalty"),
    Asks({"frequency_penalty": -1}, ("penalties",), "frequency_penalty"),
    Asks({}, ("completions",), None, "/v1/completions"),
    Asks({"text": {"format": {"type": "json_schema"}}}, ("responses", "json_schema"), "text", "/v1/responses"),
    Asks(
        {"input": [{"content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}]},
        ("responses", "vision", "image_urls"),
        "input",
        "/v1/responses",
    ),
    Asks({}, ("embeddings",), None, "/v1/embeddings"),
    Asks({"query": "a", "documents": ["a"]}, ("rerank",), None, "/v1/rerank"),
    Asks({"stream": True}, ("messages", "streaming"), "stream", MESSAGES),
    Asks({"tools": [{"name": "any"}], "tool_choice": {"type": "auto"}}, ("messages", "tools"), "tools", MESSAGES),
    Asks({"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}, ("tools", "tool_choice"), "tool_choice", MESSAGES),
    Asks({"output_config": {"format": {"type": "json_schema"}}}, ("json_schema",), "output_config", MESSAGES),
    Asks(
        {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}]}]},
        ("messages", "vision", "image_urls"),
        "messages",
        MESSAGES,
    ),
    Asks({"messages": [{"content": [{"type": "text", "text": "image"}]}]}, ("messages",), None, MESSAGES),
]

NOTHING = [
    {"tools": [], "tool_choice": None, "response_format": None, "seed": None, "logprobs": None, "n": None},
    {"response_format": {"type": "text"}, "n": 1, "logprobs": False, "top_logprobs": 0, "presence_penalty": 0},
    {"tool_choice": "required", "max_tokens": 1, "stream": False, "frequency_penalty": 0.0},
    {"messages": [{"role": "user", "content": '{"type": "image_url", "url": "http://", "tools": [1], "seed": 1}'}]},
]
"""What needs nothing."""

OTHERS = dict.fromkeys(sorted(OTHER_APIS), True)
"""What a host is not known to take unless that is said."""

WORKER = Worker()
HOSTS = ("one", "two", *(f"host-{number}" for number in range(5)))
REACHED = {name: Upstream(name, f"http://{name}", None, None) for name in HOSTS}


def sent(plan: Plan, body: dict[str, Any], path: str = CHAT) -> Asked:
    return asked({"model": LLAMA, **body}, worker=WORKER, told=plan_text(plan, {}, REACHED, {}), path=path)


def passed(of: Asked) -> bytes:
    """What a host gets that calls the model as it is called here."""
    return of.stream.attempt(of.sent).body


def left(of: Asked, plan: Plan) -> list[str]:
    """The hosts that a request can go to."""
    live = [target.host for target in plan.models[0].live]
    return [live[place] for place in of.stream.allowed]


def lab(**said: Any) -> dict[str, Any]:
    return {"kind": "openai", "url": "https://lab.example.com/v1", "models": {LLAMA: {"id": "llama", **said}}}


def two(fact: str) -> Plan:
    """One that lacks something, with most of the shares, and one that takes everything."""
    lacks = lab(**OTHERS | {Takes.model_fields[fact].alias or fact: False})
    return build({LLAMA: {"shares": {"one": 99, "two": 1}}}, {"one": lacks, "two": lab(**OTHERS)})


@pytest.mark.parametrize("asks", ASKS, ids=lambda asks: f"{asks.path[4:]} {sorted(asks.body)}")
def test_a_request_goes_to_those_who_take_it_and_its_refusal_names_what_nobody_takes(asks: Asks):
    for fact in asks.facts:
        plan = two(fact)
        assert left(sent(plan, asks.body, asks.path), plan) == ["two"]
    name = Takes.model_fields[asks.facts[-1]].alias or ""
    refused = sent(
        build({LLAMA: {"shares": {"one": 100}}}, {"one": lab(**OTHERS | {name: False})}), asks.body, asks.path
    )
    assert refused.ran.status == 400
    assert {key: error(refused)[key] for key in ("code", "param")} == {
        "code": "unsupported_parameter",
        "param": asks.param,
    }


@pytest.mark.parametrize("body", NOTHING, ids=str)
def test_what_says_nothing_needs_nothing(body: dict[str, Any]):
    nothing = lab(**{field.alias or name: False for name, field in Takes.model_fields.items()})
    plan = build({LLAMA: {"shares": {"one": 50, "two": 50}}}, {"one": nothing, "two": lab()})
    ran = sent(plan, body)
    assert (ran.ran.status, left(ran, plan)) == (None, ["one", "two"])


@pytest.mark.parametrize("path", [MESSAGES, "/v1/rerank"])
def test_another_api_than_openai_s_is_for_hosts_that_are_known_to_take_it(path: str):
    nobody = {"one": lab(), "two": lab(seed=False)}
    plan = build({LLAMA: {"shares": {"one": 50, "two": 50}}}, nobody)
    refused = sent(plan, {}, path)
    assert error(refused)["message"] == f"No host of {LLAMA} takes this: {path}."
    assert ("type" in json.loads(refused.ran.answer)) == (path == MESSAGES)
    alike = build({LLAMA: {"shares": {"one": 100}}}, {"one": lab()})
    assert error(sent(alike, {}, path))["code"] == "unsupported_parameter"
    taken = build({LLAMA: {"shares": {"one": 100}}}, {"one": lab(**OTHERS)})
    assert left(sent(taken, {}, path), taken) == ["one"]


def test_what_no_single_host_takes_together_is_named_together():
    plan = build(
        {LLAMA: {"shares": {"one": 50, "two": 50}}}, {"one": lab(seed=False), "two": lab(choices=False, output=8)}
    )
    assert error(sent(plan, {"seed": 1, "n": 2}))["message"] == (
        f"No host of {LLAMA} takes all of this together: several choices, seed."
    )
    assert left(sent(plan, {"seed": 1, "max_tokens": 9}), plan) == ["two"]


@pytest.mark.parametrize(
    ("limit", "hosts", "tokens"),
    [(8, ["one", "two"], b"8"), (9, ["two"], b"9"), (100, ["two"], b"100"), (1000, ["two"], b"100 ")],
)
def test_an_answer_may_be_as_long_as_the_longest_of_any_host(limit: int, hosts: list[str], tokens: bytes):
    plan = build({LLAMA: {"shares": {"one": 50, "two": 50}}}, {"one": lab(output=8), "two": lab(output=100)})
    ran = sent(plan, {"max_completion_tokens": limit, "stream": True})
    assert left(ran, plan) == hosts
    assert b'"max_completion_tokens": ' + tokens + b", " in passed(ran)
    assert json.loads(passed(ran))["stream_options"] == {"include_usage": True}


@st.composite
def hosts(draw: st.DrawFn) -> dict[str, Any]:
    """Hosts of different capabilities."""
    facts = st.dictionaries(st.sampled_from(sorted(Takes.model_fields)), st.booleans(), max_size=4)
    outputs = st.sampled_from([None, 4_096, 8_192])
    said = draw(st.lists(st.tuples(facts, outputs), min_size=1, max_size=5))
    return {
        f"host-{number}": lab(
            **{Takes.model_fields[name].alias or name: value for name, value in takes.items()},
            **({"output": output} if output else {}),
        )
        for number, (takes, output) in enumerate(said)
    }


@settings(max_examples=150, deadline=None)
@given(hosts(), st.sampled_from(ASKS), st.sampled_from([None, 1, 5_000, 100_000]), st.integers(0, 3))
def test_the_outcome_of_a_request_does_not_depend_on_the_draw(
    said: dict[str, Any], asks: Asks, tokens: int | None, fallbacks: int
):
    names = sorted(said)
    sharing, standing_in = names[: max(1, len(names) - fallbacks)], names[max(1, len(names) - fallbacks) :]
    shares = dict.fromkeys(sharing, 100 // len(sharing)) | {sharing[0]: 100 - 100 // len(sharing) * (len(sharing) - 1)}
    plan = build({LLAMA: {"shares": shares, "fallback": standing_in}}, said)
    (model,) = plan.models
    ran = sent(plan, {**asks.body, **({"max_tokens": tokens} if tokens else {})}, asks.path)

    needed = {*asks.facts, *({"messages"} if asks.path == MESSAGES else ())}
    able = [target for target in model.live if not target.takes.refused & {*needed}]
    if not able:
        assert (ran.ran.status, error(ran)["code"]) == (400, "unsupported_parameter")
        return
    most = max(target.output or 2**31 for target in able)
    wanted = min(tokens or 0, most)
    assert left(ran, plan) == [target.host for target in able if (target.output or 2**31) >= wanted]
    assert json.loads(passed(ran)).get("max_tokens", 0) == wanted
