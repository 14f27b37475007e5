"""The binary framing of AWS's event streams, `application/vnd.amazon.eventstream`.

A message is its length and that of its headers, a CRC of these two, the headers, the payload, and a CRC of all before
it; numbers are big-endian, CRCs CRC-32.  A header is its name's length and name, a type, and its value: 7 is a text,
with its length before it.  Source: smithy.io, the Amazon event stream specification.

Requests signed with a secret: AWS Signature Version 4, checked.

Source: docs.aws.amazon.com/IAM, Create a signed AWS API request.  The time of a signature is not looked at.

`POST /model/<id>/converse` and `/converse-stream`, in the shapes of botocore's `bedrock-runtime`, 2023-09-30.

It is strict where Bedrock is known to be: turns alternate and the user's comes first, no text is blank, and a
conversation in which a tool was called has tools.  The words of these refusals are Bedrock's.

Bedrock's protocol: Converse, signed requests, and AWS's errors.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import quote

from pydantic import BaseModel, Field, JsonValue, model_validator

from corral.simulated.hosts import SimulatedHost
from corral.simulated.openai import locked
from corral.simulated.requests import (
    Asked,
    Limit,
    Refusal,
    Reply,
    Request,
    Said,
    Streamed,
    Text,
    Whole,
    no_path,
    not_json,
    to_json,
    wrong_method,
)
from corral.simulated.tokens import IMAGE_TOKENS, count

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_TEXT = 7


def event(name: str, said: Mapping[str, object]) -> bytes:
    """A message with an event."""
    return _message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, said)


def exception(name: str, message: str) -> bytes:
    """A message with an exception, after which nothing comes; its name begins with a small letter."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, {"message": message})


def _message(headers: Mapping[str, str], said: Mapping[str, object]) -> bytes:
    head, payload = b"".join(_header(name, value) for name, value in headers.items()), to_json(said)
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = lengths + struct.pack(">I", crc32(lengths)) + head + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(encoded)) + encoded


_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def signed(request: Request, secret: str) -> bool | None:
    """Whether the request is signed with this secret; None: it is not signed at all."""
    found = _SIGNED.fullmatch(request.header("authorization"))
    if found is None:
        return None
    canonical = "\n".join(
        (
            request.method,
            quote(request.raw_path, safe="/~"),
            request.query,
            *(f"{name}:{' '.join(request.header(name).split())}" for name in found["headers"].split(";")),
            "",
            found["headers"],
            _hash(request.body),
        )
    )
    said = "\n".join(("AWS4-HMAC-SHA256", request.header("x-amz-date"), found["scope"], _hash(canonical.encode())))
    key = f"AWS4{secret}".encode()
    for part in (found["date"], found["region"], found["service"], "aws4_request", said):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(key.hex(), found["signature"])


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class Named(BaseModel):
    """A tool, by name."""

    name: str


class ToolSpec(BaseModel):
    """A tool on offer."""

    tool_spec: Annotated[Named, Field(alias="toolSpec")]


class ToolChoice(BaseModel):
    """Which tool must be called, if any."""

    auto: dict[str, JsonValue] | None = None
    any: dict[str, JsonValue] | None = None
    tool: Named | None = None


class ToolConfig(BaseModel):
    """The tools."""

    tools: Annotated[list[ToolSpec], Field(min_length=1)]
    choice: Annotated[ToolChoice | None, Field(alias="toolChoice")] = None


class Image(BaseModel):
    """An image; its bytes are not looked at."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: dict[Literal["bytes"], str]


class Block(BaseModel):
    """A part of a turn, or of what a tool gave."""

    text: str | None = None
    image: Image | None = None
    tool_use: Annotated[dict[str, JsonValue] | None, Field(alias="toolUse")] = None
    tool_result: Annotated[ToolResult | None, Field(alias="toolResult")] = None

    @property
    def tokens(self) -> int:
        """What it counts; a tool call counts nothing."""
        given = sum(block.tokens for block in self.tool_result.content) if self.tool_result else 0
        return count(self.text or "") + (IMAGE_TOKENS if self.image else 0) + given


class ToolResult(BaseModel):
    """What a tool gave."""

    tool_use_id: Annotated[str, Field(alias="toolUseId")]
    content: list[Block]


class Turn(BaseModel):
    """What one side says."""

    role: Literal["user", "assistant"]
    content: Annotated[list[Block], Field(min_length=1)]


class Inference(BaseModel):
    """How to answer."""

    max_tokens: Annotated[Limit | None, Field(alias="maxTokens")] = None


class ConverseRequest(Asked):
    """A question; `model` and `stream` are in the path."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    system: Annotated[list[Block], Field(default=[])]
    inference: Annotated[Inference, Field(alias="inferenceConfig")] = Inference()
    tools: Annotated[ToolConfig | None, Field(alias="toolConfig")] = None

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
        if self.tools is None and any(block.tool_use or block.tool_result for _, block in self._blocks()):
            raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return self

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        for number, turn in enumerate(self.messages):
            for place, block in enumerate(turn.content):
                yield f"{number}.content.{place}", block

    @property
    def with_tools(self) -> bool:
        return self.tools is not None

    @property
    def with_images(self) -> bool:
        return any(block.image for _, block in self._blocks())

    def reply(self, host: str) -> Reply:
        said = [
            " ".join(texts)
            for turn in self.messages
            if turn.role == "user" and (texts := [block.text for block in turn.content if block.text])
        ]
        call = self._call()
        text = (
            Text(("{}",), cut=False) if call else self.text(host, said[-1] if said else "", self.inference.max_tokens)
        )
        prompt = sum(block.tokens for block in (*self.system, *(block for _, block in self._blocks())))
        reason = "tool_use" if call else "max_tokens" if text.cut else "end_turn"
        usage = {"inputTokens": prompt, "outputTokens": len(text.tokens), "totalTokens": prompt + len(text.tokens)}
        if self.stream:
            return _streamed(text, call, reason, usage)
        block: dict[str, Any] = {"toolUse": _tool_use(call) | {"input": {}}} if call else {"text": str(text)}
        answer: dict[str, Any] = {
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": reason,
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }
        return Whole(to_json(answer), prompt, len(text.tokens))

    def _call(self) -> str | None:
        """The tool that must be called: the chosen one, or the first on offer."""
        choice = self.tools.choice if self.tools else None
        if self.tools is None or choice is None or (choice.any is None and choice.tool is None):
            return None
        return choice.tool.name if choice.tool else self.tools.tools[0].tool_spec.name


def _streamed(text: Text, call: str | None, reason: str, usage: dict[str, int]) -> Streamed:
    opening = event("messageStart", {"role": "assistant"})
    if call:
        begun = {"start": {"toolUse": _tool_use(call)}, "contentBlockIndex": 0}
        opening += event("contentBlockStart", begun)

    def token(said: str) -> bytes:
        delta: dict[str, Any] = {"toolUse": {"input": said}} if call else {"text": said}
        return event("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0})

    return Streamed(
        opening,
        tuple(map(token, text.tokens)),
        event("contentBlockStop", {"contentBlockIndex": 0})
        + event("messageStop", {"stopReason": reason})
        + event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
        usage["inputTokens"],
        CONTENT_TYPE,
    )


def _tool_use(name: str) -> dict[str, Any]:
    return {"toolUseId": "tooluse_simulated_0", "name": name}


_ROUTE: Final = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream)")

_NAMES: Final = {
    400: (400, "ValidationException"),
    401: (403, "UnrecognizedClientException"),
    404: (404, "ResourceNotFoundException"),
    405: (405, "UnknownOperationException"),
    429: (429, "ThrottlingException"),
    500: (500, "InternalServerException"),
    503: (503, "ServiceUnavailableException"),
}
"""Per status of OpenAI's protocol the status and the name of AWS's error."""


class Aws:
    """See `dialect.Dialect`."""

    id_header = "x-amzn-requestid"

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        found = _ROUTE.fullmatch(request.route or "")
        if found is None:
            return no_path(request, f"Converse is at {host.prefix}/model/<id>/converse")
        if request.method != "POST":
            return wrong_method(request)
        try:
            said: object = json.loads(request.body)
        except ValueError as error:
            return not_json(str(error))
        keys = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        return ConverseRequest.of(keys | {"model": found["model"], "stream": found["operation"] == "converse-stream"})

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        right = None if host.key is None else signed(request, host.key)
        if right is None:
            return locked(host, request)
        return None if right else Refusal(401, "The request signature we calculated does not match the signature.")

    def said(self, refusal: Refusal, host: str) -> Said:
        status, name = _NAMES[refusal.status]
        message = f"{host} (simulated): {refusal.message}"
        if refusal.code == "model_not_found":
            status, name, message = 400, "ValidationException", "The provided model identifier is invalid."
        more = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
        return Said(status, to_json({"message": message}), (("x-amzn-errortype", name), *more))
