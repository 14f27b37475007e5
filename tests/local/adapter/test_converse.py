"""Chat completions, asked in Converse: whole requests."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from corral.hosts.adapted.description import AdaptedModel
from corral.local.adapter.converse import DEFAULT_LIMIT, FILLER, NO_OUTPUT, Chunks, completion, converse, finish_reason
from corral.local.adapter.openai import ChatError, Head, in_chunks
from corral.local.adapter.requests import ChatRequest
from corral.simulated.bedrock import ConverseRequest

USER: Any = {"role": "user", "content": "hello"}
TURNS = [{"role": "user", "content": [{"text": "hello"}]}]
PNG = base64.b64encode(b"\x89PNG").decode()
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
TOOL_SPEC = {"toolSpec": {"name": "look", "description": "Looks.", "inputSchema": {"json": {"type": "object"}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}


def parameters(messages: list[Any] | None = None, /, output: int | None = None, **more: Any) -> dict[str, Any]:
    body = {"model": "us.meta.llama", "messages": messages or [USER]} | more
    return converse(ChatRequest.read(json.dumps(body).encode()), AdaptedModel(output=output))


FOREIGN = "call|of another host " + 64 * "x"
ALIAS = "call_" + sha256(FOREIGN.encode()).hexdigest()[:40]


def result(call: str, text: str) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call, "content": [{"text": text}]}}


def request(**more: Any) -> ChatRequest:
    return ChatRequest.read(json.dumps({"model": "m", "messages": [USER]} | more).encode())


def image(url: str) -> Any:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: dict[str, Any]
    messages: list[Any] = field(default_factory=lambda: [USER])


SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}, "additionalProperties": False}

CASES = [
    Case("a user's message", {}, {}),
    Case("the limit of the request", {"max_tokens": 7}, {"inferenceConfig": {"maxTokens": 7}}),
    Case("… under its newer name", {"max_completion_tokens": 8}, {"inferenceConfig": {"maxTokens": 8}}),
    Case("… else the model's", {"output": 4096}, {"inferenceConfig": {"maxTokens": 4096}}),
    Case(
        "how to answer",
        {"temperature": 0, "top_p": 0.5, "stop": ["a", "b"]},
        {"inferenceConfig": {"maxTokens": DEFAULT_LIMIT, "temperature": 0, "topP": 0.5, "stopSequences": ["a", "b"]}},
    ),
    Case("one stop", {"stop": "a"}, {"inferenceConfig": {"maxTokens": DEFAULT_LIMIT, "stopSequences": ["a"]}}),
    Case(
        "instructions, wherever they stand, in their order",
        {},
        {"system": [{"text": "first"}, {"text": "second"}, {"text": "third"}], "messages": TURNS},
        [
            {"role": "system", "content": "first"},
            USER,
            {"role": "developer", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "third"}]},
        ],
    ),
    Case(
        "several turns",
        {},
        {
            "messages": [
                *TURNS,
                {"role": "assistant", "content": [{"text": "hi"}]},
                {"role": "user", "content": [{"text": "more"}, {"text": "of it"}, {"text": "and more"}]},
                {"role": "assistant", "content": [{"text": "I will not"}]},
                {"role": "user", "content": [{"text": "why"}]},
            ]
        },
        [
            USER,
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "more"}, {"type": "text", "text": "of it"}]},
            {"role": "user", "content": "and more"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not"}]},
            {"role": "user", "content": "why"},
        ],
    ),
    Case(
        "images",
        {},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
                        {"text": "and"},
                        {"image": {"format": "jpeg", "source": {"bytes": b"\x89PNG"}}},
                    ],
                }
            ]
        },
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "auto"}},
                    {"type": "text", "text": "and"},
                    {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{PNG}"}},
                ],
            }
        ],
    ),
    Case("tools", {"tools": [TOOL]}, {"toolConfig": {"tools": [TOOL_SPEC]}}),
    Case(
        "a tool of which nothing is said",
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
        {
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "f",
                            "inputSchema": {"json": {"type": "object", "properties": {}}},
                            "strict": True,
                        }
                    }
                ]
            }
        },
    ),
    Case("a tool, if it likes", {"tools": [TOOL], "tool_choice": "auto"}, {"toolConfig": {"tools": [TOOL_SPEC]}}),
    Case("one call at a time", {"tools": [TOOL], "parallel_tool_calls": False}, {"toolConfig": {"tools": [TOOL_SPEC]}}),
    Case(
        "a schema without a type",
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}]},
        {
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}}}}
                ]
            }
        },
    ),
    Case(
        "more tokens than the model has", {"output": 4096, "max_tokens": 9999}, {"inferenceConfig": {"maxTokens": 4096}}
    ),
    Case(
        "an assistant that begins",
        {},
        {
            "messages": [
                {"role": "user", "content": [{"text": FILLER}]},
                {"role": "assistant", "content": [{"text": "hi"}]},
                *TURNS,
            ]
        },
        [{"role": "assistant", "content": "hi"}, USER],
    ),
    Case("blank texts", {}, {}, [{"role": "assistant", "content": "\n\n"}, {"role": "user", "content": " "}, USER]),
    Case(
        "calls without tools, blank or missing results, foreign ids, keys that are given back",
        {},
        {
            "messages": [
                *TURNS,
                {
                    "role": "assistant",
                    "content": [
                        {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"at": "sky"}}},
                        {"toolUse": {"toolUseId": ALIAS, "name": "count", "input": {}}},
                        {"toolUse": {"toolUseId": "call_3", "name": "count", "input": {}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [result(ALIAS, "3"), result("call_1", NO_OUTPUT), result("call_3", NO_OUTPUT)],
                },
            ],
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}}}}}
                    for name in ("look", "count")
                ]
            },
        },
        [
            USER | {"name": "jo", "cache_control": {"type": "ephemeral"}},
            {
                "role": "assistant",
                "content": "\n\n",
                "reasoning_content": "hm",
                "annotations": [{}],
                "parsed": {"sky": "blue"},
                "provider_specific_fields": {"citations": [1]},
                "tool_calls": [
                    CALL | {"index": 0, "function": CALL["function"] | {"parsed_arguments": {"at": "sky"}}},
                    {"id": FOREIGN, "type": "function", "function": {"name": "count", "arguments": ""}},
                    {"id": "call_3", "type": "function", "function": {"name": "count", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": FOREIGN, "content": "3"},
            {"role": "tool", "tool_call_id": "call_1", "content": ""},
        ],
    ),
    Case("no tool", {"tools": [TOOL], "tool_choice": "none"}, {}),
    Case(
        "tool calls, and what they gave",
        {"tools": [TOOL]},
        {
            "messages": [
                *TURNS,
                {"role": "assistant", "content": [{"text": "let me see"}]},
                {"role": "user", "content": [{"text": FILLER}]},
                {
                    "role": "assistant",
                    "content": [
                        {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"at": "sky"}}},
                        {"toolUse": {"toolUseId": "call_2", "name": "look", "input": {}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        result("call_1", "blue"),
                        result("call_2", "nothing there"),
                    ],
                },
                {"role": "assistant", "content": [{"text": FILLER}]},
                {"role": "user", "content": [{"text": "go on"}]},
            ],
            "toolConfig": {"tools": [TOOL_SPEC]},
        },
        [
            USER,
            {
                "role": "assistant",
                "content": "let me see",
                "tool_calls": [
                    CALL,
                    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "blue", "name": "look"},
            {
                "role": "tool",
                "tool_call_id": "call_2",
                "content": [{"type": "text", "text": "nothing"}, {"type": "text", "text": " there"}],
            },
            {"role": "user", "content": "go on"},
        ],
    ),
    Case("what is for the records", {"user": "me", "metadata": {"a": "b"}, "n": 1, "stream": True}, {}),
    Case("how much to reason, which no Llama does", {"reasoning_effort": "low", "service_tier": "auto"}, {}),
    Case("a tier", {"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}),
    Case("a text, said as such", {"response_format": {"type": "text"}}, {}),
    Case(
        "a schema",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "at", "schema": SCHEMA, "strict": True}}},
        {
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"name": "at", "schema": json.dumps(SCHEMA)}},
                }
            }
        },
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chat_completion_is_asked_in_converse(case: Case):
    given = {"inferenceConfig": {"maxTokens": DEFAULT_LIMIT}, "messages": TURNS}
    made = parameters(case.messages, **case.given)
    assert made == {"modelId": "us.meta.llama"} | given | case.want
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("Converse")
    validate_parameters(made, shape.input_shape)


@pytest.mark.parametrize(
    ("messages", "more", "param", "message"),
    [
        ([USER], {"n": 2}, "n", "n cannot be asked of this host: Converse has nothing like it"),
        ([USER], {"seed": 1}, "seed", "seed cannot be asked of this host: Converse has nothing like it"),
        ([USER], {"response_format": {"type": "json_object"}}, "response_format", "response_format cannot be asked of"),
        ([USER], {"response_format": {"type": "json_schema"}}, "response_format", "response_format cannot be asked of"),
        ([USER], {"service_tier": "scale"}, "service_tier", "service_tier is none that this host has"),
        ([USER], {"frequency_penalty": 1}, "frequency_penalty", "frequency_penalty cannot be asked of this host"),
        ([USER], {"temperature": 1.5}, "temperature", "temperature is above 1, the most that this host takes"),
        ([{"role": "system", "content": "x"}], {}, "messages", "messages hold nothing that anybody says"),
        ([{"role": "user", "content": ""}], {}, "messages", "messages hold nothing that anybody says"),
        ([USER], {"tools": [TOOL], "tool_choice": "required"}, "tool_choice", "tool_choice can be auto or none alone"),
        ([USER], {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}}, "tool_choice",
         "tool_choice can be auto or none alone: Converse has nothing else for Llama"),
        ([USER], {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name",
         "tools[0].function.name is no name that this host takes: up to 64 of A-Z, a-z, 0-9, _ and -"),
        ([USER], {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
         "tools[0].function.parameters.type", "tools[0].function.parameters.type is not object"),
        ([image("https://example.com/a.png")], {}, "messages[0].content[0].image_url.url",
         "messages[0].content[0].image_url.url must be a data: URL (data:image/png;base64,...): this host fetches"),
        ([image("data:image/bmp;base64,AAAA")], {}, "messages[0].content[0].image_url.url",
         "messages[0].content[0].image_url.url is of a format that this host does not take: send gif, jpeg, jpg, png"),
        ([image("data:image/png;base64,???")], {}, "messages[0].content[0].image_url.url",
         "messages[0].content[0].image_url.url is not base64"),
        ([image("data:image/png;base64,")], {}, "messages[0].content[0].image_url.url",
         "messages[0].content[0].image_url.url is an empty image"),
        ([USER, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "[]"}}]}], {},
         "messages[1].tool_calls[0].function.arguments",
         "messages[1].tool_calls[0].function.arguments is no JSON object"),
        ([USER, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{"}}]}], {},
         "messages[1].tool_calls[0].function.arguments",
         "messages[1].tool_calls[0].function.arguments is no JSON object"),
        ([USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "a", "content": "b"}],
         {"tools": [TOOL], "tool_choice": "none"}, "tool_choice",
         "tool_choice cannot be none once a tool was called: Converse has nothing like it"),
    ],
)  # fmt: skip
def test_what_converse_cannot_express_is_refused_and_named(
    messages: list[Any], more: dict[str, Any], param: str, message: str
):
    with pytest.raises(ChatError) as error:
        parameters(messages, **more)
    assert (error.value.status, error.value.param) == (400, param)
    assert error.value.message.startswith(message)


blank = st.sampled_from(["", "\n", "hello"])
ids = st.sampled_from(["call_1", "call_2", FOREIGN])
spoken = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, blank),
    st.builds(
        lambda text, calls: {
            "role": "assistant",
            "content": text,
            "tool_calls": [CALL | {"id": each} for each in calls] or None,
        },
        blank,
        st.lists(ids, unique=True, max_size=3),
    ),
)


def with_results(messages: list[Any], texts: list[str]) -> list[Any]:
    """Each call gets its result, in front of what the next one says."""
    whole: list[Any] = []
    for message in messages:
        whole.append(message)
        for each, text in zip(message.get("tool_calls") or (), texts, strict=False):
            whole.append({"role": "tool", "tool_call_id": each["id"], "content": text})
    return whole


@given(st.lists(spoken, min_size=1, max_size=8), st.lists(blank, max_size=3), st.booleans())
def test_bedrock_takes_every_conversation(messages: list[Any], texts: list[str], offered: bool):
    more: dict[str, Any] = {"tools": [TOOL]} if offered else {}
    asked = parameters([*with_results(messages, texts), USER], **more)
    asked.pop("modelId")
    ConverseRequest.model_validate({"model": "m", "stream": False, **asked})


META = {"RequestId": "r1", "HTTPStatusCode": 200}
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
TOOL_USE = {"toolUseId": "t1", "name": "look", "input": {"at": "sky"}}
HEAD = {"id": "chatcmpl-r1", "created": 5, "model": "m"}


def answer(*content: Any, reason: str = "end_turn") -> dict[str, Any]:
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": reason, "usage": USAGE, "ResponseMetadata": META}


def call(number: int | None = None) -> dict[str, Any]:
    reply = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    return reply if number is None else {"index": number} | reply


def whole(message: dict[str, Any], finish: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None} | message, "logprobs": None}
    return HEAD | {
        "object": "chat.completion",
        "choices": [choice | {"finish_reason": finish}],
        "usage": COUNTED,
    }


@pytest.mark.parametrize(
    ("reply", "want"),
    [
        (answer({"text": "hel"}, {"text": "lo"}), whole({"content": "hello"}, "stop")),
        (answer(), whole({"content": ""}, "stop")),
        (answer({"text": "cut"}, reason="max_tokens"), whole({"content": "cut"}, "length")),
        (answer({"text": "no"}, reason="guardrail_intervened"), whole({"content": "no"}, "content_filter")),
        (
            answer({"toolUse": TOOL_USE}, reason="tool_use"),
            whole({"content": None, "tool_calls": [call()]}, "tool_calls"),
        ),
        (
            answer({"text": "look"}, {"toolUse": TOOL_USE}, {"toolUse": TOOL_USE}, reason="tool_use"),
            whole({"content": "look", "tool_calls": [call(), call()]}, "tool_calls"),
        ),
    ],
)
def test_an_answer_becomes_a_chat_completion(reply: dict[str, Any], want: dict[str, Any]):
    made = completion(reply, request(), 5)
    assert made == want
    ChatCompletion.model_validate(made, strict=True)


@pytest.mark.parametrize("missing", ["output", "stopReason", "usage"])
def test_an_answer_that_ends_too_early_is_none(missing: str):
    reply = answer({"text": "hello"})
    del reply[missing]
    with pytest.raises(ChatError) as error:
        completion(reply, request(), 5)
    assert error.value.status == 502


def test_an_answer_without_an_id_gets_one():
    first, second = (completion(answer() | {"ResponseMetadata": {}}, request(), 5)["id"] for _ in range(2))
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
    with pytest.raises(ChatError) as error:
        finish_reason(reason)
    assert (error.value.status, error.value.type) == (502, "server_error")


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return HEAD | {"object": "chat.completion.chunk", "choices": [choice]}


ROLE = chunk({"role": "assistant", "content": ""})
LAST = HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": COUNTED}


def delta(reply: dict[str, Any], block: int = 0) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": reply, "contentBlockIndex": block}}


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
    chunks = Chunks(Head("chatcmpl-r1", "m", 5), request(stream_options={"include_usage": wants_usage}))
    made = [one for event in events for one in chunks.of(event)]
    chunks.end()
    assert made == want
    for one in made:
        ChatCompletionChunk.model_validate(one, strict=True)


def test_a_stream_without_its_end_broke_off():
    chunks = Chunks(Head("chatcmpl-r1", "m", 5), request())
    assert list(chunks.of(START)) == [ROLE]
    with pytest.raises(ChatError, match="broke off") as error:
        chunks.end()
    assert error.value.status == 502


@pytest.mark.parametrize(
    ("reply", "wants_usage", "want"),
    [
        (answer({"text": "hello"}), True, [ROLE, chunk({"content": "hello"}), chunk({}, "stop"), LAST]),
        (answer({"text": "hello"}), False, [ROLE, chunk({"content": "hello"}), chunk({}, "stop")]),
        (
            answer({"text": "look"}, {"toolUse": TOOL_USE}, {"toolUse": TOOL_USE}, reason="tool_use"),
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
def test_a_whole_answer_is_streamed_on(reply: dict[str, Any], wants_usage: bool, want: list[Any]):
    made = list(in_chunks(completion(reply, request(), 5), wants_usage=wants_usage))
    assert made == want
    for one in made:
        ChatCompletionChunk.model_validate(one, strict=True)
