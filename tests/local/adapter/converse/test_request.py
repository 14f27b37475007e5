"""Chat completions, asked in Converse: whole requests."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters

from corral.local.adapter.converse.request import DEFAULT_LIMIT, converse
from corral.local.adapter.openai import ChatError
from corral.local.adapter.requests import read

USER: Any = {"role": "user", "content": "hello"}
SAID = [{"role": "user", "content": [{"text": "hello"}]}]
PNG = base64.b64encode(b"\x89PNG").decode()
LOOK = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
LOOK_SPEC = {"toolSpec": {"name": "look", "description": "Looks.", "inputSchema": {"json": {"type": "object"}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}


def asked(messages: list[Any] | None = None, /, output: int | None = None, **more: Any) -> dict[str, Any]:
    body = {"model": "us.meta.llama", "messages": messages or [USER]} | more
    return converse(read(json.dumps(body).encode()), output)


def image(url: str) -> Any:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: dict[str, Any]
    messages: list[Any] = field(default_factory=lambda: [USER])


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
        {"system": [{"text": "first"}, {"text": "second"}, {"text": "third"}], "messages": SAID},
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
                *SAID,
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
    Case("tools", {"tools": [LOOK]}, {"toolConfig": {"tools": [LOOK_SPEC]}}),
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
    Case(
        "a tool, if it likes",
        {"tools": [LOOK], "tool_choice": "auto"},
        {"toolConfig": {"tools": [LOOK_SPEC], "toolChoice": {"auto": {}}}},
    ),
    Case(
        "some tool",
        {"tools": [LOOK], "tool_choice": "required"},
        {"toolConfig": {"tools": [LOOK_SPEC], "toolChoice": {"any": {}}}},
    ),
    Case(
        "this tool",
        {"tools": [LOOK], "tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"toolConfig": {"tools": [LOOK_SPEC], "toolChoice": {"tool": {"name": "look"}}}},
    ),
    Case("no tool", {"tools": [LOOK], "tool_choice": "none"}, {}),
    Case(
        "tool calls, and what they gave",
        {"tools": [LOOK]},
        {
            "messages": [
                *SAID,
                {
                    "role": "assistant",
                    "content": [
                        {"text": "let me see"},
                        {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"at": "sky"}}},
                        {"toolUse": {"toolUseId": "call_2", "name": "look", "input": {}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "blue"}]}},
                        {"toolResult": {"toolUseId": "call_2", "content": [{"text": "nothing there"}]}},
                        {"text": "go on"},
                    ],
                },
            ],
            "toolConfig": {"tools": [LOOK_SPEC]},
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
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chat_completion_is_asked_in_converse(case: Case):
    given = {"inferenceConfig": {"maxTokens": DEFAULT_LIMIT}, "messages": SAID}
    made = asked(case.messages, **case.given)
    assert made == {"modelId": "us.meta.llama"} | given | case.want
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("Converse")
    validate_parameters(made, shape.input_shape)


@pytest.mark.parametrize(
    ("messages", "more", "param", "message"),
    [
        ([USER], {"n": 2}, "n", "n cannot be asked of this host: Converse has nothing like it"),
        ([USER], {"seed": 1}, "seed", "seed cannot be asked of this host: Converse has nothing like it"),
        ([USER], {"frequency_penalty": 1}, "frequency_penalty", "frequency_penalty cannot be asked of this host"),
        ([USER], {"temperature": 1.5}, "temperature", "temperature is above 1, the most that this host takes"),
        ([{"role": "system", "content": "x"}], {}, "messages", "messages holds no message of the user"),
        ([{"role": "user", "content": ""}], {}, "messages[0].content", "messages[0].content says nothing"),
        ([USER, {"role": "assistant"}], {}, "messages[1].content", "messages[1].content says nothing"),
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
         {"tools": [LOOK], "tool_choice": "none"}, "tool_choice",
         "tool_choice cannot be none once a tool was called: Converse has nothing like it"),
    ],
)  # fmt: skip
def test_what_converse_cannot_express_is_refused_and_named(
    messages: list[Any], more: dict[str, Any], param: str, message: str
):
    with pytest.raises(ChatError) as refused:
        asked(messages, **more)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert refused.value.message.startswith(message)
