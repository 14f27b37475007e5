"""Converse's answers as chat completions: whole ones, and streams of events."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from corral.local.adapter.converse.reply import Chunks, completion, finish_reason
from corral.local.adapter.openai import ChatError, Head, in_chunks

META = {"RequestId": "r1", "HTTPStatusCode": 200}
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
LOOK = {"toolUseId": "t1", "name": "look", "input": {"at": "sky"}}
HEAD = {"id": "chatcmpl-r1", "created": 5, "model": "m"}


def answer(*content: Any, reason: str = "end_turn") -> dict[str, Any]:
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": reason, "usage": USAGE, "ResponseMetadata": META}


def call(number: int | None = None) -> dict[str, Any]:
    said = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    return said if number is None else {"index": number} | said


def whole(message: dict[str, Any], finish: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None} | message, "logprobs": None}
    return HEAD | {
        "object": "chat.completion",
        "choices": [choice | {"finish_reason": finish}],
        "usage": COUNTED,
    }


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (answer({"text": "hel"}, {"text": "lo"}), whole({"content": "hello"}, "stop")),
        (answer(), whole({"content": ""}, "stop")),
        (answer({"text": "cut"}, reason="max_tokens"), whole({"content": "cut"}, "length")),
        (answer({"text": "no"}, reason="guardrail_intervened"), whole({"content": "no"}, "content_filter")),
        (
            answer({"toolUse": LOOK}, reason="tool_use"),
            whole({"content": None, "tool_calls": [call()]}, "tool_calls"),
        ),
        (
            answer({"text": "look"}, {"toolUse": LOOK}, {"toolUse": LOOK}, reason="tool_use"),
            whole({"content": "look", "tool_calls": [call(), call()]}, "tool_calls"),
        ),
    ],
)
def test_an_answer_becomes_a_chat_completion(said: dict[str, Any], want: dict[str, Any]):
    made = completion(said, "m", 5)
    assert made == want
    ChatCompletion.model_validate(made, strict=True)


@pytest.mark.parametrize("missing", ["output", "stopReason", "usage"])
def test_an_answer_that_ends_too_early_is_none(missing: str):
    said = answer({"text": "hello"})
    del said[missing]
    with pytest.raises(ChatError) as refused:
        completion(said, "m", 5)
    assert refused.value.status == 502


def test_an_answer_without_an_id_gets_one():
    first, second = (completion(answer() | {"ResponseMetadata": {}}, "m", 5)["id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ],
)
def test_each_reason_to_stop_has_its_word(reason: str, finish: str):
    assert finish_reason(reason) == finish


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use", "a reason of tomorrow"])
def test_an_end_that_is_no_answer_s_is_the_host_s_failure(reason: str):
    with pytest.raises(ChatError) as refused:
        finish_reason(reason)
    assert (refused.value.status, refused.value.type) == (502, "server_error")


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return HEAD | {"object": "chat.completion.chunk", "choices": [choice]}


ROLE = chunk({"role": "assistant", "content": ""})
LAST = HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": COUNTED}


def delta(said: dict[str, Any], block: int = 0) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": said, "contentBlockIndex": block}}


def begun(name: str, block: int) -> dict[str, Any]:
    use = {"toolUseId": f"t{block}", "name": name}
    return {"contentBlockStart": {"start": {"toolUse": use}, "contentBlockIndex": block}}


def ended(reason: str) -> list[dict[str, Any]]:
    stop = {"messageStop": {"stopReason": reason}}
    return [{"contentBlockStop": {"contentBlockIndex": 0}}, stop, {"metadata": {"usage": USAGE, "metrics": {}}}]


START = {"messageStart": {"role": "assistant"}}
TEXT = [START, delta({"text": "hel"}), delta({"text": "lo"}), *ended("end_turn")]
TEXT_CHUNKS = [ROLE, chunk({"content": "hel"}), chunk({"content": "lo"}), chunk({}, "stop")]
CALLS = [
    START,
    delta({"text": "let me"}),
    begun("look", 1),
    delta({"toolUse": {"input": '{"at":'}}, 1),
    delta({"toolUse": {"input": '"sky"}'}}, 1),
    begun("count", 2),
    delta({"toolUse": {"input": "{}"}}, 2),
    *ended("tool_use"),
]
NOTHING_YET = {"arguments": ""}
CALL_CHUNKS = [
    ROLE,
    chunk({"content": "let me"}),
    chunk({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": NOTHING_YET | {"name": "look"}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"at":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"sky"}'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": NOTHING_YET | {"name": "count"}}]}),
    chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
    chunk({}, "tool_calls"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "wants_usage", "want"),
    [
        (TEXT, False, TEXT_CHUNKS),
        (TEXT, True, [*TEXT_CHUNKS, LAST]),
        (CALLS, True, [*CALL_CHUNKS, LAST]),
        ([START, *ended("max_tokens")], False, [ROLE, chunk({}, "length")]),
        ([{"an event of tomorrow": {}}, *TEXT], False, TEXT_CHUNKS),
    ],
)
def test_events_become_chunks(events: list[Any], wants_usage: bool, want: list[Any]):
    chunks = Chunks(Head("chatcmpl-r1", "m", 5), wants_usage=wants_usage)
    made = [one for event in events for one in chunks.of(event)]
    chunks.end()
    assert made == want
    for one in made:
        ChatCompletionChunk.model_validate(one, strict=True)


def test_a_stream_without_its_end_broke_off():
    chunks = Chunks(Head("chatcmpl-r1", "m", 5), wants_usage=False)
    assert list(chunks.of(START)) == [ROLE]
    with pytest.raises(ChatError, match="broke off") as refused:
        chunks.end()
    assert refused.value.status == 502


@pytest.mark.parametrize(
    ("said", "wants_usage", "want"),
    [
        (answer({"text": "hello"}), True, [ROLE, chunk({"content": "hello"}), chunk({}, "stop"), LAST]),
        (answer({"text": "hello"}), False, [ROLE, chunk({"content": "hello"}), chunk({}, "stop")]),
        (
            answer({"text": "look"}, {"toolUse": LOOK}, {"toolUse": LOOK}, reason="tool_use"),
            False,
            [
                ROLE,
                chunk({"content": "look"}),
                chunk({"tool_calls": [call(0), call(1)]}),
                chunk({}, "tool_calls"),
            ],
        ),
    ],
)
def test_a_whole_answer_is_streamed_on(said: dict[str, Any], wants_usage: bool, want: list[Any]):
    made = list(in_chunks(completion(said, "m", 5), wants_usage=wants_usage))
    assert made == want
    for one in made:
        ChatCompletionChunk.model_validate(one, strict=True)
