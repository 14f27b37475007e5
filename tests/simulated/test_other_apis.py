"""Anthropic's messages and Cohere's ranking, as a stand-in answers them."""

from __future__ import annotations

import json
from typing import Any

from corral.catalog.catalog import Takes
from corral.simulated.other_apis import MessagesRequest, RerankRequest
from corral.simulated.requests import IMAGE_TOKENS, Refusal, Streamed, Whole

TOOL = {
    "name": "count",
    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


def messages(text: str = "hello to you", **more: Any) -> MessagesRequest:
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}
    request = MessagesRequest.read(json.dumps(body).encode())
    assert not isinstance(request, Refusal), request
    return request


def whole(request: MessagesRequest | RerankRequest) -> dict[str, Any]:
    reply = request.reply("lab")
    assert isinstance(reply, Whole)
    answer: dict[str, Any] = json.loads(reply.body)
    assert answer.pop("id")
    return answer


def test_a_message_is_answered_as_anthropic_does():
    assert whole(messages(system=[{"type": "text", "text": "be brief"}])) == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "lab (simulated) answers as m: hello to you"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 8},
    }
    assert whole(messages(max_tokens=2))["stop_reason"] == "max_tokens"


def test_a_tool_is_called_with_an_input_of_its_schema_and_not_again_once_it_has_answered():
    called = whole(messages("now", tools=[TOOL], tool_choice={"type": "any"}))
    (call,) = called["content"]
    assert (called["stop_reason"], call.pop("id")[:6], call) == (
        "tool_use",
        "toolu_",
        {"type": "tool_use", "name": "count", "input": {"n": 0}},
    )
    turns = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "count 3"}]}]
    after = whole(messages(tools=[TOOL], messages=turns))
    assert (after["content"][0]["type"], after["usage"]["input_tokens"]) == ("text", 2)


def test_a_stream_tells_the_prompt_first_and_the_answer_with_the_last_but_one():
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    said = [{"role": "user", "content": [{"type": "text", "text": "hello"}, picture]}]
    request = messages(messages=said, stream=True)
    reply = request.reply("lab")
    assert isinstance(reply, Streamed)
    lines = (reply.opening + b"".join(reply.tokens) + reply.closing).decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    text = "lab (simulated) answers as m: hello"
    assert [event["type"] for event in events] == [
        *("message_start", "content_block_start", *["content_block_delta"] * 6, "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert "".join(event["delta"]["text"] for event in events[2:8]) == text
    assert events[0]["message"]["usage"] == {"input_tokens": 1 + IMAGE_TOKENS, "output_tokens": 0}
    assert events[-2]["usage"] == {"output_tokens": 6}
    assert {want.fact for want in request.wants if want.wanted} == {"streaming", "vision", "messages", "image_urls"}


def test_documents_are_ranked_by_what_they_share_with_the_query():
    body = {"model": "m", "query": "a llama", "documents": ["a panda", {"text": "a llama"}, "an ox"], "top_n": 2}
    request = RerankRequest.read(json.dumps(body).encode())
    assert isinstance(request, RerankRequest)
    assert whole(request) == {
        "model": "m",
        "results": [
            {"index": 1, "relevance_score": 1.0, "document": {"text": "a llama"}},
            {"index": 0, "relevance_score": 0.5, "document": {"text": "a panda"}},
        ],
        "usage": {"total_tokens": 12},
    }
    assert request.unsupported(Takes()) is not None
    assert request.unsupported(Takes(rerank=True)) is None
