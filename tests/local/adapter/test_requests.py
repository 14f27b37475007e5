"""What is understood of a sent, and what is refused by name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.adapter.openai import ChatError
from corral.local.adapter.requests import IDLE, ChatRequest

USER: Any = {"role": "user", "content": "hello"}
SUPPORTED = frozenset({"model", "messages", "temperature"})


def body(**more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [USER]} | more).encode()


def parts(*sent: Any) -> Any:
    return [{"role": "user", "content": list(sent)}]


@pytest.mark.parametrize(
    ("sent", "param", "message"),
    [
        (b"", None, "the body is not JSON: Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"model": "m", ', None, "the body is not JSON: Invalid JSON: EOF while parsing a value at line 1 column 15"),
        (b"[]", "the body", "the body is wrong: Input should be an object"),
        (b'{"messages": []}', "model", "model is wrong: Field required"),
        (body(messages=[]), "messages", "messages is wrong: List should have at least 1 item after validation, not 0"),
        (body(messages=[{"role": "bot"}]), "messages[0]", "messages[0] has a role that is none of system, developer"),
        (body(messages=[{"role": "user"}]), "messages[0].content", "messages[0].content is wrong: Field required"),
        (body(messages=[USER | {"weight": 2}]), "messages[0].weight", "messages[0].weight is not understood here"),
        (body(messages=parts({"type": "input_audio", "input_audio": {}})), "messages[0].content[0]",
         "messages[0].content[0] is neither a text nor an image"),
        (body(messages=parts({"type": "text", "text": "a"}, {"type": "file"})), "messages[0].content[1]",
         "messages[0].content[1] is neither a text nor an image"),
        (body(messages=parts({"type": "image_url", "image_url": {"url": "data:,", "detail": "most"}})),
         "messages[0].content[0].image_url.detail",
         "messages[0].content[0].image_url.detail is wrong: Input should be 'auto', 'low'"),
        (body(messages=[USER, {"role": "assistant", "audio": {"id": "a"}}]), "messages[1].audio",
         "messages[1].audio is not understood here"),
        (body(messages=[USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]),
         "messages[1].tool_calls[0].type", "messages[1].tool_calls[0].type is wrong: Input should be 'function'"),
        (body(tools=[{"type": "custom"}]), "tools[0].type", "tools[0].type is wrong: Input should be 'function'"),
        (body(tool_choice="some"), "tool_choice", "tool_choice is wrong: Input should be 'none', 'auto' or 'required'"),
        (body(tool_choice={"type": "allowed_tools"}), "tool_choice.type", "tool_choice.type is wrong: Input should be"),
        (body(max_tokens=0), "max_tokens", "max_tokens is wrong: Input should be greater than or equal to 1"),
        (body(max_tokens="9"), "max_tokens", "max_tokens is wrong: Input should be a valid integer"),
        (body(temperature=2.5), "temperature", "temperature is wrong: Input should be less than or equal to 2"),
        (body(stop=["a", 1]), "stop[1]", "stop[1] is wrong: Input should be a valid string"),
        (body(stream_options={"continuous": True}), "stream_options.continuous", "stream_options.continuous is not"),
    ],
)  # fmt: skip
def test_what_is_not_a_chat_completion_is_refused_with_its_place(sent: bytes, param: str | None, message: str):
    with pytest.raises(ChatError) as error:
        ChatRequest.read(sent)
    assert (error.value.status, error.value.param) == (400, param)
    assert error.value.message.startswith(message)


@pytest.mark.parametrize(
    "sent",
    [
        {"n": 2},
        {"logprobs": True},
        {"seed": 7},
        {"logit_bias": {"50256": -100}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "ash"}},
        {"presence_penalty": 0.5},
        {"service_tier": "flex"},
        {"top_k": 4},
        {"functions": [{"name": "f"}]},
        {"no_such_parameter": 1},
    ],
    ids=lambda sent: next(iter(sent)),
)
def test_a_parameter_that_the_protocol_has_not_is_refused_by_name(sent: dict[str, Any]):
    name = next(iter(sent))
    with pytest.raises(ChatError) as error:
        ChatRequest.read(body(**sent)).require_only(SUPPORTED, "Converse")
    assert (error.value.status, error.value.param, error.value.code) == (400, name, "unsupported_parameter")
    assert error.value.message == f"{name} cannot be asked of this host: Converse has nothing like it"


@pytest.mark.parametrize(
    "sent",
    [
        {"n": 1},
        {"logprobs": False, "top_logprobs": 0},
        {"seed": None},
        {"logit_bias": {}},
        {"response_format": {"type": "text"}},
        {"parallel_tool_calls": True},
        {"parallel_tool_calls": False, "tool_choice": "auto"},
        {"modalities": ["text"]},
        {"presence_penalty": 0, "frequency_penalty": 0.0},
        {"service_tier": "auto"},
        {"stream": False, "tools": [], "stop": None},
        {"temperature": 0.5},
        *({name: "something"} for name in sorted(IDLE)),
    ],
)
def test_what_asks_for_nothing_or_is_for_the_records_is_taken(sent: dict[str, Any]):
    ChatRequest.read(body(**sent)).require_only(SUPPORTED, "Converse")


def test_an_assistant_s_message_is_taken_back_as_it_was_sent():
    sent = {"role": "assistant", "content": "hi", "refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    assert ChatRequest.read(body(messages=[USER, sent, USER])).messages[1].content == "hi"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_messages_of_any_shape_are_read_or_refused(sent: Any):
    with suppress(ChatError):
        ChatRequest.read(json.dumps({"model": "m", "messages": sent}).encode())


def test_a_body_that_is_nested_too_deep_is_refused():
    with pytest.raises(ChatError, match="not JSON"):
        ChatRequest.read(b'{"model": "m", "messages": ' + b"[" * 100_000)
