"""Bedrock's protocol at a stand-in: Converse and ConverseStream, signed requests, and AWS's errors.

Shapes and patterns are those of botocore's `bedrock-runtime`, 2023-09-30.  It is strict where Bedrock is known to be
with Llama: turns alternate and the user's comes first, no text is blank, no turn mixes what is said with tool calls or
their results, the results of all calls are in the next turn, a conversation in which a tool was called has tools, their
schemas are objects, and no choice of a tool is forced.  The words of these refusals are Bedrock's, as people report
them (strands-agents/harness-sdk 1223 and 1241, camel-ai/camel 3954, aaif-goose/goose 5064).  A tier that a model is not
served at is a ValidationException too (release notes of strands-agents/sdk-python 1.35.0); its words, and those for a
schema where the model takes none, are not known and taken to be alike, and so is that a Llama has one tier alone.

A stream is in AWS's binary framing (smithy.io, the Amazon event stream specification).  A message is its length and
that of its headers, a CRC of these two, the headers, the payload, and a CRC of all before it; numbers are big-endian,
CRCs CRC-32.  A header is its name's length and name, a type, and its value: 7 is a text, with its length before it.

A request may be signed with the host's key as the secret: Signature Version 4 (docs.aws.amazon.com/IAM, Create a
signed AWS API request).  The time of a signature is not checked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from binascii import crc32
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from corral.simulated.hosts import SimulatedHost
from corral.simulated.requests import (
    IMAGE_TOKENS,
    Dialect,
    ErrorAnswer,
    HttpRequest,
    ModelRequest,
    Refusal,
    Reply,
    Streamed,
    Text,
    TokenLimit,
    Want,
    Whole,
    chosen_tool,
    count,
)
from corral.simulated.shapes import to_json

EVENT_STREAM = "application/vnd.amazon.eventstream"
_TEXT_TYPE = 7


def event(name: str, payload: Mapping[str, object]) -> bytes:
    """A message with an event."""
    return message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload)


def message(headers: Mapping[str, str], payload: Mapping[str, object]) -> bytes:
    """A message of an event stream."""
    head, body = b"".join(_header(name, value) for name, value in headers.items()), to_json(payload)
    lengths = struct.pack(">II", 16 + len(head) + len(body), len(head))
    framed = lengths + struct.pack(">I", crc32(lengths)) + head + body
    return framed + struct.pack(">I", crc32(framed))


def _header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT_TYPE, len(encoded)) + encoded


_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def _is_signed(request: HttpRequest, secret: str) -> bool | None:
    """Whether the request is signed with this secret; None: it is not signed at all."""
    claimed = _SIGNATURE.fullmatch(request.headers.get("authorization", ""))
    if claimed is None:
        return None
    canonical = "\n".join(
        (
            request.method,
            quote(request.raw_path, safe="/~"),
            request.query,
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in claimed["headers"].split(";")),
            "",
            claimed["headers"],
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(("AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), claimed["scope"], digest))
    key = f"AWS4{secret}".encode()
    for part in (claimed["date"], claimed["region"], claimed["service"], "aws4_request", to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(key.hex(), claimed["signature"])


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Named(_Shape):
    name: str


class Schema(_Shape):
    json_: Annotated[dict[str, JsonValue], Field(alias="json")]


class Spec(_Shape):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Annotated[str, Field(min_length=1)] | None = None
    input_schema: Schema


class ToolSpec(_Shape):
    tool_spec: Spec


class ToolChoice(_Shape):
    auto: dict[str, JsonValue] | None = None
    any: dict[str, JsonValue] | None = None
    tool: Named | None = None


class ToolConfig(_Shape):
    tools: Annotated[list[ToolSpec], Field(min_length=1)]
    tool_choice: ToolChoice | None = None


class Image(_Shape):
    """An image; its bytes are not read."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: dict[Literal["bytes"], str]


class Block(_Shape):
    """A part of a turn, or of a tool's result."""

    text: str | None = None
    image: Image | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None

    @property
    def tokens(self) -> int:
        """Its tokens; a tool call counts nothing."""
        result = sum(block.tokens for block in self.tool_result.content) if self.tool_result else 0
        return count(self.text or "") + (IMAGE_TOKENS if self.image else 0) + result


_ToolId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.:-]{1,64}$")]


class ToolUse(_Shape):
    tool_use_id: _ToolId
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    input: dict[str, JsonValue]


class ToolResult(_Shape):
    tool_use_id: _ToolId
    content: list[Block]


class Turn(_Shape):
    role: Literal["user", "assistant"]
    content: Annotated[list[Block], Field(min_length=1)]

    @property
    def calls(self) -> list[str]:
        return [block.tool_use.tool_use_id for block in self.content if block.tool_use]

    @property
    def results(self) -> list[str]:
        return [block.tool_result.tool_use_id for block in self.content if block.tool_result]


class InferenceConfig(_Shape):
    max_tokens: TokenLimit | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop_sequences: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=2500)] = []


class JsonSchema(_Shape):
    schema_: Annotated[str, Field(alias="schema")]
    """JSON in a text."""


class TextStructure(_Shape):
    json_schema: JsonSchema


class TextFormat(_Shape):
    type: Literal["json_schema"]
    structure: TextStructure


class OutputConfig(_Shape):
    text_format: TextFormat | None = None


class ServiceTier(_Shape):
    type: Literal["priority", "default", "flex", "reserved"]


class ConverseRequest(ModelRequest):
    """A conversation to continue; `model` and `stream` are in the path."""

    model_config = ConfigDict(alias_generator=to_camel)

    messages: Annotated[list[Turn], Field(min_length=1)]
    system: Annotated[list[Block], Field(default=[])]
    inference_config: InferenceConfig = InferenceConfig()
    tool_config: ToolConfig | None = None
    output_config: OutputConfig = OutputConfig()
    service_tier: ServiceTier | None = None

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        field = "the outputConfig.textFormat field"
        yield Want("json_schema", self.output_config.text_format is not None, field)

    @model_validator(mode="after")
    def _it_is_as_bedrock_wants_it(self) -> Self:
        if self.messages[0].role != "user":
            raise ValueError(
                "A conversation must start with a user message. Try again with a conversation that starts with a user "
                "message."
            )
        if any(one.role == next_.role for one, next_ in zip(self.messages, self.messages[1:], strict=False)):
            raise ValueError(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        for turn, block in self._blocks():
            if block.text is not None and not block.text.strip():
                raise ValueError(
                    f"The text field in the ContentBlock object at messages.{turn} is blank. Add text to the text "
                    "field, and try again."
                )
        self._check_tools()
        return self

    def _check_tools(self) -> None:
        if self.tool_config is None and any(turn.calls or turn.results for turn in self.messages):
            raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        called: list[str] = []
        for number, turn in enumerate(self.messages):
            for blocks, kind in ((turn.calls, "use"), (turn.results, "result")):
                if blocks and len(blocks) < len(turn.content):
                    raise ValueError(
                        f"messages.{number}.content: Conversation blocks and tool {kind} blocks cannot be provided in "
                        "the same turn."
                    )
            if missing := [call for call in called if call not in turn.results]:
                place = f"messages.{number}.content"
                raise ValueError(f"Expected toolResult blocks at {place} for the following Ids: {', '.join(missing)}")
            if len(turn.results) > len(called):
                raise ValueError(
                    f"The number of toolResult blocks at messages.{number}.content exceeds the number of toolUse "
                    "blocks of previous turn."
                )
            called = turn.calls
        for number, tool in enumerate(self.tool_config.tools if self.tool_config else ()):
            if tool.tool_spec.input_schema.json_.get("type") != "object":
                place = f"toolConfig.tools.{number}.toolSpec.inputSchema.json.type"
                raise ValueError(f"The value at {place} must be one of the following: object.")
        choice = self.tool_config.tool_choice if self.tool_config else None
        if self.service_tier is not None and self.service_tier.type != "default":
            raise ValueError(f"This model doesn't support the {self.service_tier.type} service tier.")
        for kind in ("any", "tool"):
            if choice is not None and getattr(choice, kind) is not None:
                field = f"toolConfig.toolChoice.{kind}"
                raise ValueError(f"This model doesn't support the {field} field. Remove {field} and try again.")

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        for number, turn in enumerate(self.messages):
            for place, block in enumerate(turn.content):
                yield f"{number}.content.{place}", block

    @property
    def with_tools(self) -> bool:
        return self.tool_config is not None

    @property
    def with_images(self) -> bool:
        return any(block.image for _, block in self._blocks())

    @property
    def called_tool(self) -> str | None:
        offered = [tool.tool_spec.name for tool in self.tool_config.tools] if self.tool_config else []
        texts = [block.text for block in self.messages[-1].content if block.text]
        return chosen_tool(" ".join(texts), offered) if texts else None

    @property
    def answer_schema(self) -> object:
        call = self.called_tool
        tools = self.tool_config.tools if self.tool_config else ()
        if call is None and self.output_config.text_format:
            return json.loads(self.output_config.text_format.structure.json_schema.schema_)
        return next((tool.tool_spec.input_schema.json_ for tool in tools if tool.tool_spec.name == call), None)

    @property
    def stop_sequences(self) -> Sequence[str]:
        return self.inference_config.stop_sequences

    def reply(self, host: str) -> Reply:
        texts = [[block.text for block in turn.content if block.text] for turn in self.messages if turn.role == "user"]
        call = self.called_tool
        text = self.text(host, [" ".join(each) for each in texts if each], self.inference_config.max_tokens)
        prompt = sum(block.tokens for block in (*self.system, *(block for _, block in self._blocks())))
        answer = len(text.tokens)
        reason = "tool_use" if call else "max_tokens" if text.cut else "stop_sequence" if text.stopped else "end_turn"
        end: dict[str, Any] = {
            "usage": {"inputTokens": prompt, "outputTokens": answer, "totalTokens": prompt + answer},
            "metrics": {"latencyMs": 1},
        }
        if self.stream:
            return _streamed(text, call, reason, end, prompt)
        block: dict[str, Any] = (
            {"toolUse": _tool_use(call) | {"input": json.loads(str(text))}} if call else {"text": str(text)}
        )
        output = {"message": {"role": "assistant", "content": [block]}}
        return Whole(to_json({"output": output, "stopReason": reason} | end), prompt, answer)


def _streamed(text: Text, call: str | None, reason: str, end: dict[str, Any], prompt: int) -> Streamed:
    opening = event("messageStart", {"role": "assistant"})
    if call:
        opening += event("contentBlockStart", {"start": {"toolUse": _tool_use(call)}, "contentBlockIndex": 0})

    def delta(token: str) -> bytes:
        content: dict[str, Any] = {"toolUse": {"input": token}} if call else {"text": token}
        return event("contentBlockDelta", {"delta": content, "contentBlockIndex": 0})

    closing = event("contentBlockStop", {"contentBlockIndex": 0}) + event("messageStop", {"stopReason": reason})
    return Streamed(opening, tuple(map(delta, text.tokens)), closing + event("metadata", end), prompt, EVENT_STREAM)


def _tool_use(name: str) -> dict[str, Any]:
    return {"toolUseId": "tooluse_simulated_0", "name": name}


_ROUTE: Final = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream)")

_ERRORS: Final = {
    400: (400, "ValidationException"),
    401: (403, "UnrecognizedClientException"),
    404: (404, "ResourceNotFoundException"),
    405: (405, "UnknownOperationException"),
    429: (429, "ThrottlingException"),
    500: (500, "InternalServerException"),
    503: (503, "ServiceUnavailableException"),
}
"""Per status of OpenAI's protocol the status and the name of AWS's error."""


class Bedrock(Dialect):
    id_header = "x-amzn-requestid"

    def parse(self, host: SimulatedHost, request: HttpRequest) -> ModelRequest | Whole | Refusal:
        route = _ROUTE.fullmatch(request.route or "")
        if route is None:
            return request.unknown_path(f"Converse is at {host.prefix}/model/<id>/converse")
        if request.method != "POST":
            return request.wrong_method()
        return ConverseRequest.read(request.body, model=route["model"], stream=route["operation"] == "converse-stream")

    def check_credential(self, host: SimulatedHost, request: HttpRequest) -> Refusal | None:
        signed = None if host.key is None else _is_signed(request, host.key)
        if signed is None:
            return super().check_credential(host, request)
        return None if signed else Refusal(401, "The request signature we calculated does not match the signature.")

    def error(self, refusal: Refusal, message: str) -> ErrorAnswer:
        status, name = _ERRORS[refusal.status]
        if refusal.code == "model_not_found":
            status, name, message = 400, "ValidationException", "The provided model identifier is invalid."
        return ErrorAnswer(status, to_json({"message": message}), (("x-amzn-errortype", name),))
