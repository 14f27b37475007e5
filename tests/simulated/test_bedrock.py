"""Bedrock's protocol: who is let in, what is answered, and in which words it is refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from corral.catalog.catalog import Takes
from corral.simulated import bedrock as eventstream
from corral.simulated.hosts import SimulatedHost
from corral.simulated.requests import IMAGE_TOKENS
from corral.simulated.simulation import Fault, Simulation

LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x"
KEY = {"authorization": "Bearer aws-key"}
HOST = SimulatedHost(
    name="aws",
    path="",
    header="authorization",
    key="aws-key",
    models={LLAMA: Takes(tools_while_streaming=False, vision=True, json_schema=False), ARN: Takes()},
    protocol="bedrock-converse",
)
USER: Any = {"role": "user", "content": [{"text": "hello to you"}]}
TOOLS: Any = {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.fixture(autouse=True)
def its_host(simulation: Simulation) -> None:
    simulation.replace([HOST])


def path(model: str = LLAMA, operation: str = "converse") -> str:
    return f"/aws/model/{quote(model, safe='')}/{operation}"


def ask(*turns: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(turns or (USER,))} | more


def whole(text: str, prompt: int, answer: int, reason: str = "end_turn") -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": reason,
        "usage": {"inputTokens": prompt, "outputTokens": answer, "totalTokens": prompt + answer},
        "metrics": {"latencyMs": 1},
    }


@pytest.mark.parametrize("model", [LLAMA, ARN])
def test_an_answer(client: TestClient, model: str):
    answer = client.post(path(model), json=ask(), headers=KEY)
    assert answer.status_code == 200
    assert answer.json() == whole(f"aws (simulated) answers as {model}: hello to you", 3, 8)
    assert answer.headers["x-amzn-requestid"]


def test_all_that_is_said_is_counted(client: TestClient):
    image = {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    use = {"toolUse": {"toolUseId": "t", "name": "look", "input": {"not": "counted"}}}
    result = {"toolResult": {"toolUseId": "t", "content": [{"text": "it is blue"}]}}
    sent = ask(
        {"role": "user", "content": [{"text": "one"}, image]},
        {"role": "assistant", "content": [{"text": "two three"}]},
        {"role": "user", "content": [{"text": "four"}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        system=[{"text": "be brief"}],
        inferenceConfig={"maxTokens": 2},
        toolConfig=TOOLS,
    )
    answer = client.post(path(), json=sent, headers=KEY)
    assert answer.json() == whole("aws (simulated)", 1 + IMAGE_TOKENS + 2 + 1 + 3 + 2, 2, "max_tokens")


def events(body: bytes) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]


def test_a_streamed_answer(client: TestClient):
    answer = client.post(path(operation="converse-stream"), json=ask(inferenceConfig={"maxTokens": 2}), headers=KEY)
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert events(answer.content) == [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "aws"}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"text": " (simulated)"}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "max_tokens"}),
        (
            "metadata",
            {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 1}},
        ),
    ]


USE = {"toolUseId": "tooluse_simulated_0", "name": "look"}


def test_a_tool_that_the_user_names_is_called(client: TestClient):
    sent = ask({"role": "user", "content": [{"text": "take a look"}]}, toolConfig=TOOLS)
    answer = client.post(path(), json=sent, headers=KEY).json()
    assert (answer["output"]["message"]["content"], answer["stopReason"]) == (
        [{"toolUse": USE | {"input": {}}}],
        "tool_use",
    )
    streamed = client.post(path(ARN, "converse-stream"), json=sent, headers=KEY)
    assert events(streamed.content)[1:4] == [
        ("contentBlockStart", {"start": {"toolUse": USE}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
    ]


def test_a_call_has_arguments_and_a_stop_sequence_ends_an_answer(client: TestClient):
    at = {"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]}
    tools = {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": at}}}]}
    sent = ask({"role": "user", "content": [{"text": "take a look"}]}, toolConfig=tools)
    called = client.post(path(), json=sent, headers=KEY).json()
    assert called["output"]["message"]["content"] == [{"toolUse": USE | {"input": {"at": 0}}}]

    stopped = client.post(path(), json=ask(inferenceConfig={"stopSequences": [" answers"]}), headers=KEY).json()
    assert (stopped["output"]["message"]["content"], stopped["stopReason"]) == (
        [{"text": "aws (simulated)"}],
        "stop_sequence",
    )


SCHEMA: Any = {
    "textFormat": {
        "type": "json_schema",
        "structure": {
            "jsonSchema": {"schema": '{"type": "object", "properties": {"at": {"const": "sky"}}, "required": ["at"]}'}
        },
    }
}


def test_a_model_that_takes_a_schema_keeps_to_it(client: TestClient):
    answer = client.post(path(ARN), json=ask(outputConfig=SCHEMA, serviceTier={"type": "default"}), headers=KEY)
    (block,) = answer.json()["output"]["message"]["content"]
    assert json.loads(block["text"]) == {"at": "sky"}


ASSISTANT: Any = {"role": "assistant", "content": [{"text": "hi"}]}
CALL: Any = {"toolUseId": "t", "name": "look", "input": {}}
CALLED: Any = {"role": "assistant", "content": [{"toolUse": CALL}]}
RESULT: Any = {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]}


@pytest.mark.parametrize(
    ("sent", "stream", "message"),
    [
        (ask(ASSISTANT), False, "A conversation must start with a user message."),
        (ask(USER, USER), False, "A conversation must alternate between user and assistant roles."),
        (ask(USER, ASSISTANT, ASSISTANT), False, "A conversation must alternate between user and assistant roles."),
        (ask({"role": "user", "content": [{"text": " "}]}), False,
         "The text field in the ContentBlock object at messages.0.content.0 is blank."),
        (ask(RESULT), False, "The toolConfig field must be defined when using toolUse and toolResult content blocks."),
        (ask(USER, {"role": "assistant", "content": [{"text": "hi"}, {"toolUse": CALL}]}, toolConfig=TOOLS), False,
         "messages.1.content: Conversation blocks and tool use blocks cannot be provided in the same turn."),
        (ask(USER, CALLED, {"role": "user", "content": [*RESULT["content"], {"text": "a"}]}, toolConfig=TOOLS), False,
         "messages.2.content: Conversation blocks and tool result blocks cannot be provided in the same turn."),
        (ask(USER, CALLED, USER, toolConfig=TOOLS), False,
         "Expected toolResult blocks at messages.2.content for the following Ids: t"),
        (ask(USER, ASSISTANT, RESULT, toolConfig=TOOLS), False, "The number of toolResult blocks at messages.2"),
        (ask(toolConfig=TOOLS | {"toolChoice": {"any": {}}}), False,
         "This model doesn't support the toolConfig.toolChoice.any field."),
        (ask(toolConfig={"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {}}}}]}), False,
         "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object."),
        (ask(USER, {"role": "assistant", "content": [{"toolUse": CALL | {"name": "a b"}}]}, toolConfig=TOOLS), False,
         "String should match pattern"),
        (ask(toolConfig=TOOLS), True, "This model doesn't support tool use in streaming mode."),
        (ask(outputConfig=SCHEMA), False, "This model doesn't support the outputConfig.textFormat field."),
        (ask(serviceTier={"type": "flex"}), False, "This model doesn't support the flex service tier."),
        (ask(inferenceConfig={"maxTokens": 0}), False, "Input should be greater than or equal to 1"),
        (ask({"role": "user", "content": []}), False, "List should have at least 1 item"),
        ([], False, "Field required"),
    ],
)  # fmt: skip
def test_what_bedrock_refuses_is_refused_in_its_words(client: TestClient, sent: Any, message: str, *, stream: bool):
    answer = client.post(path(operation="converse-stream" if stream else "converse"), json=sent, headers=KEY)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        (Fault(kind="401"), 403, "UnrecognizedClientException"),
        (Fault(kind="404"), 400, "ValidationException"),
        (Fault(kind="429", retry_after=7), 429, "ThrottlingException"),
        (Fault(kind="500"), 500, "InternalServerException"),
        (Fault(kind="503"), 503, "ServiceUnavailableException"),
    ],
)
def test_a_fault_is_aws_s_exception(client: TestClient, simulation: Simulation, fault: Fault, status: int, name: str):
    simulation.faults.set("aws", fault)
    answer = client.post(path(), json=ask(), headers=KEY)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, name)
    assert answer.json().keys() == {"message"}
    assert answer.headers.get("retry-after") == ("7" if fault.kind == "429" else None)


def test_an_id_it_does_not_know_is_invalid(client: TestClient):
    answer = client.post(path("meta.other"), json=ask(), headers=KEY)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer.json() == {"message": "The provided model identifier is invalid."}


@pytest.mark.parametrize(
    ("method", "where", "status", "name"),
    [
        ("POST", "/aws/v1/chat/completions", 404, "ResourceNotFoundException"),
        ("POST", "/aws/model/x/invoke", 404, "ResourceNotFoundException"),
        ("GET", path(), 405, "UnknownOperationException"),
    ],
)
def test_converse_is_all_there_is(client: TestClient, method: str, where: str, status: int, name: str):
    answer = client.request(method, where, headers=KEY)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, name)


def signed(secret: str, model: str, body: bytes) -> dict[str, str]:
    """The headers of a request that botocore signs."""
    request = AWSRequest("POST", f"http://127.0.0.1{path(model)}", data=body)
    SigV4Auth(Credentials("an id", secret), "bedrock", "us-east-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("model", [LLAMA, ARN])
def test_a_signed_request_is_let_in(client: TestClient, model: str):
    body = json.dumps(ask()).encode()
    assert client.post(path(model), content=body, headers=signed("aws-key", model, body)).status_code == 200


@pytest.mark.parametrize(
    ("secret", "model", "body"),
    [("other", LLAMA, None), ("aws-key", ARN, None), ("aws-key", LLAMA, b'{"messages": []}')],
    ids=["another secret", "another path", "another body"],
)
def test_a_request_that_is_not_what_was_signed_is_refused(
    client: TestClient, secret: str, model: str, body: bytes | None
):
    sent = json.dumps(ask()).encode()
    answer = client.post(path(), content=body or sent, headers=signed(secret, model, sent))
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "UnrecognizedClientException")


def test_a_request_without_any_credential_is_refused(client: TestClient):
    assert client.post(path(), json=ask()).status_code == 403


def read(*chunks: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    read: list[tuple[dict[str, Any], bytes]] = []
    for chunk in chunks:
        buffer.add_data(chunk)
        read += [(message.headers, message.payload) for message in buffer]
    return read


STREAM = eventstream.event("messageStart", {"role": "ä"}) + eventstream.message(
    {":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"},
    {"message": "slow down"},
)
WANT = [
    (
        {":event-type": "messageStart", ":content-type": "application/json", ":message-type": "event"},
        b'{"role":"\\u00e4"}',
    ),
    (
        {":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"},
        b'{"message":"slow down"}',
    ),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_messages_are_what_botocore_reads_however_they_are_cut(cuts: list[int]):
    chunks = [STREAM[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert read(*chunks) == WANT


@given(st.integers(12, len(STREAM) - 1))
def test_a_wrong_byte_is_noticed(place: int):
    wrong = STREAM[:place] + bytes([STREAM[place] ^ 1]) + STREAM[place + 1 :]
    try:
        messages = read(wrong)
    except ChecksumMismatch:
        return
    assert len(messages) < len(WANT), "a length was wrong, and the message is not there yet"


@pytest.mark.parametrize("sent", [{}, {"text": "x" * 100_000}])
def test_a_payload_may_be_of_any_length(sent: dict[str, str]):
    ((headers, payload),) = read(eventstream.event("contentBlockDelta", sent))
    assert headers[":event-type"] == "contentBlockDelta"
    assert payload.startswith(b"{")
