"""A chat completion in Bedrock's Converse, and Converse's answers as chat completions.

Shapes are those of botocore's `bedrock-runtime`, 2023-09-30.

Instructions (`system`, `developer`) go to the front in their order, wherever they stood.  The results of tools are the
user's to say, as Converse wants it; messages of one side in a row become one turn, and a blank text is left out.

Turns: with Llama, Converse refuses a turn of text or images beside tool calls or their results ("Conversation blocks
and tool use blocks cannot be provided in the same turn"), and wants the results of all calls of a turn in the next one.
Such a turn becomes two, calls after what is said and results before it, with FILLER of the other side between; FILLER
opens a conversation that begins with the assistant, and NO_OUTPUT is the result of a call that has none or a blank one.

Images: Converse takes their bytes, and reads no address but S3's, so an image comes as a `data:` URL.  One behind an
http address is refused: the adapter fetches nothing that a caller names, which would let callers reach what only this
machine can.

Tools: their schemas are objects; a conversation in which a tool was called has tools, so that a request without any
gets those that were called.  An id outside the service's pattern is another, the same one in call and result.  With
Llama Converse has no `tool_choice` but `auto`; not to offer the tools comes to the same as `none`, unless a tool was
called already.  Of several calls, the first is the answer to a request with `parallel_tool_calls: false`.

Limits: `maxTokens` is always given.  Bedrock reserves quota for the prompt and for all tokens that the answer might
have, and without it that is the model's own limit.  It is the request's limit, at most the model's as the plan has it,
else that, else DEFAULT_LIMIT.  `temperature` goes up to 1 there, not 2; more is refused rather than cut.

Formats: a JSON schema is Converse's `outputConfig.textFormat`, where the model takes one.  By the catalog no Llama
does; the stack may say otherwise.  For JSON without a schema Converse has nothing.  `service_tier` is `serviceTier`.
`outputConfig.effort` is never given: no Llama reasons more or less.

Refusals: what Converse cannot express is `unsupported`, which sends the request on to another host of the model; what
no host could take is `invalid`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote

from corral.hosts.adapted.description import AdaptedModel
from corral.local.adapter.openai import FIRST_DELTA, FinishReason, Head, bad_answer, invalid, unsupported
from corral.local.adapter.requests import (
    BASIC,
    AssistantMessage,
    ChatRequest,
    Function,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from corral.simulated.shapes import usage

DEFAULT_LIMIT: Final = 2_048
"""Tokens of an answer that every Llama on Bedrock gives: the most that `max_gen_len` of its native API takes.
docs.aws.amazon.com/bedrock, Meta Llama models."""

FILLER: Final = "…"
"""What a side says that said nothing, where Converse wants a turn of it."""

NO_OUTPUT: Final = "(no output)"

_SUPPORTED: Final = BASIC | {
    *("temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "service_tier")
}

Block = dict[str, Any]


def converse(request: ChatRequest, model: AdaptedModel) -> dict[str, Any]:
    """The parameters of boto3's `converse` and `converse_stream`.  Raises ChatError."""
    request.require_only(_SUPPORTED, "Converse")
    if request.temperature is not None and request.temperature > 1:
        raise unsupported("temperature", "is above 1, the most that this host takes")
    inference = {
        "maxTokens": min(filter(None, (request.limit, model.output)), default=DEFAULT_LIMIT),
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stops or None,
    }
    parameters: dict[str, Any] = {
        "modelId": request.model,
        "system": [
            block
            for message in request.messages
            if isinstance(message, SystemMessage)
            for block in _texts(message.content)
        ],
        "messages": _turns(request.messages),
        "inferenceConfig": {key: value for key, value in inference.items() if value is not None},
        "toolConfig": _tool_config(request),
        "outputConfig": _output_config(request, model),
        "serviceTier": _service_tier(request),
    }
    return {key: value for key, value in parameters.items() if value}


def _output_config(request: ChatRequest, model: AdaptedModel) -> dict[str, Any] | None:
    match request.response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict()} as given} if model.json_schema is not False:
            named = {key: given[key] for key in ("name", "description") if given.get(key)}
            structure = {"jsonSchema": {"schema": json.dumps(given["schema"]), **named}}
            return {"textFormat": {"type": "json_schema", "structure": structure}}
        case _:
            raise unsupported("response_format", "cannot be asked of this host: Converse has nothing like it here")


def _service_tier(request: ChatRequest) -> dict[str, str] | None:
    match request.service_tier:
        case None | "auto" | "default":
            return None
        case "flex" | "priority":
            return {"type": request.service_tier}
        case _:
            raise unsupported("service_tier", "is none that this host has: auto, default, flex or priority")


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    spoken: list[tuple[str, list[Block]]] = []
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        side = "assistant" if isinstance(message, AssistantMessage) else "user"
        content = list(_content(message, f"messages[{number}]"))
        if content and spoken and spoken[-1][0] == side:
            spoken[-1][1].extend(content)
        elif content:
            spoken.append((side, content))
    if not spoken:
        raise invalid("messages", "hold nothing that anybody says")
    turns: list[dict[str, Any]] = []
    for side, content in spoken:
        for part in _unmixed(side, content, _open_calls(turns)):
            if side == (turns[-1]["role"] if turns else "assistant"):
                turns.append({"role": "user" if side == "assistant" else "assistant", "content": [{"text": FILLER}]})
            turns.append({"role": side, "content": part})
    return turns


def _unmixed(side: str, content: list[Block], open_calls: Sequence[str]) -> Iterator[list[Block]]:
    """The content in turns of one kind, in the order in which Converse wants them."""
    tools = [block for block in content if "toolUse" in block or "toolResult" in block]
    rest = [block for block in content if block not in tools]
    answered = {block["toolResult"]["toolUseId"] for block in tools if "toolResult" in block}
    if side == "user":
        tools += [_result(call, "") for call in open_calls if call not in answered]
    yield from (part for part in ((rest, tools) if side == "assistant" else (tools, rest)) if part)


def _open_calls(turns: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of the calls of the last turn."""
    return [block["toolUse"]["toolUseId"] for block in (turns[-1]["content"] if turns else ()) if "toolUse" in block]


def _content(message: UserMessage | AssistantMessage | ToolMessage, place: str) -> Iterator[Block]:
    match message:
        case UserMessage():
            parts = message.content
            for number, part in enumerate([parts] if isinstance(parts, str) else parts):
                if isinstance(part, ImagePart):
                    yield _image(part.image_url.url, f"{place}.content[{number}].image_url.url")
                else:
                    yield from _texts(part if isinstance(part, str) else [part])
        case AssistantMessage():
            yield from _texts(message.content or message.refusal or "")
            for number, call in enumerate(message.tool_calls or ()):
                yield {"toolUse": _tool_use(call, f"{place}.tool_calls[{number}]")}
        case ToolMessage():
            yield _result(_tool_id(message.tool_call_id), "".join(block["text"] for block in _texts(message.content)))


def _texts(content: str | Sequence[TextPart | RefusalPart]) -> list[Block]:
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return [{"text": text} for text in texts if text.strip()]


def _result(call: str, text: str) -> Block:
    return {"toolResult": {"toolUseId": call, "content": [{"text": text or NO_OUTPUT}]}}


_DATA_URL = re.compile(r"data:image/(?P<format>[a-z+.-]+)(;[^;,]*)*?;base64,(?P<bytes>.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n=")


def _image(url: str, param: str) -> Block:
    data = _DATA_URL.fullmatch(url)
    if data is None:
        way_out = "must be a data: URL (data:image/png;base64,...): this host fetches no image itself"
        raise unsupported(param, way_out) if url.startswith("http") else invalid(param, way_out)
    name = _FORMATS.get(data["format"].lower())
    if name is None:
        raise unsupported(param, f"is of a format that this host does not take: send {', '.join(sorted(_FORMATS))}")
    text = unquote(data["bytes"]).translate(_URL_SAFE)
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise invalid(param, "is not base64") from None
    if not content:
        raise invalid(param, "is an empty image")
    return {"image": {"format": name, "source": {"bytes": content}}}


_TOOL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Patterns of botocore's ToolUseId and ToolName."""


def _tool_id(id_: str) -> str:
    return id_ if _TOOL_ID.fullmatch(id_) else f"call_{hashlib.sha256(id_.encode()).hexdigest()[:40]}"


def _tool_name(name: str, place: str) -> str:
    if not _TOOL_NAME.fullmatch(name):
        raise unsupported(place, "is no name that this host takes: up to 64 of A-Z, a-z, 0-9, _ and -")
    return name


def _tool_use(call: ToolCall, place: str) -> Block:
    try:
        arguments: object = json.loads(call.function.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise unsupported(f"{place}.function.arguments", "is no JSON object, and this host takes nothing else")
    name = _tool_name(call.function.name, f"{place}.function.name")
    return {"toolUseId": _tool_id(call.id), "name": name, "input": cast("dict[str, object]", arguments)}


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    calls = [
        call.function.name
        for message in request.messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls or ()
    ]
    if request.tool_choice == "none":
        if calls or any(isinstance(message, ToolMessage) for message in request.messages):
            raise unsupported("tool_choice", "cannot be none once a tool was called: Converse has nothing like it")
        return None
    if request.tool_choice not in (None, "auto"):
        raise unsupported("tool_choice", "can be auto or none alone: Converse has nothing else for Llama")
    functions = [tool.function for tool in request.tools or ()] or [
        Function(name=name) for name in dict.fromkeys(calls)
    ]
    if not functions:
        return None
    return {"tools": [{"toolSpec": _tool_spec(each, f"tools[{number}]")} for number, each in enumerate(functions)]}


def _tool_spec(function: Function, place: str) -> dict[str, Any]:
    schema = {"type": "object", **(function.parameters or {"properties": {}})}
    if schema["type"] != "object":
        raise unsupported(f"{place}.function.parameters.type", "is not object, the only one that this host takes")
    return {
        "name": _tool_name(function.name, f"{place}.function.name"),
        **({"description": function.description} if (function.description or "").strip() else {}),
        "inputSchema": {"json": schema},
        **({"strict": True} if function.strict else {}),
    }


_FINISH: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""All that botocore names, but `malformed_model_output` and `malformed_tool_use`: these are no answers."""


def finish_reason(reason: str) -> FinishReason:
    """Converse's `stopReason` as OpenAI's `finish_reason`.  Raises ChatError for an end that is no answer's."""
    finish = _FINISH.get(reason)
    if finish is None:
        raise bad_answer(f"the answer ended for a reason that is none of an answer's: {reason}")
    return finish


def completion(answer: Mapping[str, Any], request: ChatRequest, created: int) -> dict[str, Any]:
    """The chat completion; `answer` is as boto3's `converse` returns it.  Raises ChatError.

    Of a body that is not JSON, or that ends too early, boto3 makes an answer without any of its keys.
    """
    if not {"output", "stopReason", "usage"} <= answer.keys():
        raise bad_answer("its answer is none of Converse's")
    content: list[Mapping[str, Any]] = answer["output"]["message"]["content"]
    text = "".join(block["text"] for block in content if "text" in block)
    calls = [_tool_call(block["toolUse"]) for block in content if "toolUse" in block]
    if request.parallel_tool_calls is False:
        del calls[1:]
    return Head(answer_id(answer), request.model, created).completion(
        {"content": text or (None if calls else "")} | ({"tool_calls": calls} if calls else {}),
        finish_reason(answer["stopReason"]),
        _usage(answer["usage"]),
    )


def answer_id(answer: Mapping[str, Any]) -> str:
    """An id that AWS's support finds the request by; any other if AWS gives none."""
    return f"chatcmpl-{answer['ResponseMetadata'].get('RequestId') or uuid.uuid4().hex}"


def _usage(tokens: Mapping[str, int]) -> dict[str, Any]:
    """Bedrock counts what it has kept of a prompt, and what it keeps now, beside the rest of it."""
    cached = tokens.get("cacheReadInputTokens", 0)
    prompt = tokens["inputTokens"] + cached + tokens.get("cacheWriteInputTokens", 0)
    details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
    return usage(prompt, tokens["outputTokens"], tokens["totalTokens"]) | details


def _tool_call(tool_use: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": tool_use["name"], "arguments": json.dumps(tool_use["input"], separators=(",", ":"))}
    return {"id": tool_use["toolUseId"], "type": "function", "function": function}


class Chunks:
    """Translates the events of one stream.

    Their order is: `messageStart`; for each block of content `contentBlockStart` (of a tool call only),
    `contentBlockDelta` as often as need be, `contentBlockStop`; then `messageStop`, and `metadata` with the usage.
    """

    def __init__(self, head: Head, request: ChatRequest) -> None:
        self._head = head
        self._request = request
        self._calls: dict[int, int] = {}
        """Per block of content that is a tool call its number among them."""
        self._stopped = False

    def of(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of one event.  Raises ChatError."""
        match event:
            case {"messageStart": _}:
                yield self._head.chunk(FIRST_DELTA)
            case {"contentBlockStart": {"start": {"toolUse": _}}} if self._has_all_calls():
                return
            case {"contentBlockStart": {"start": {"toolUse": call}, "contentBlockIndex": block}}:
                number = self._calls[block] = len(self._calls)
                function = {"name": call["name"], "arguments": ""}
                start = {"index": number, "id": call["toolUseId"], "type": "function", "function": function}
                yield self._head.chunk({"tool_calls": [start]})
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                yield self._head.chunk({"content": text})
            case {"contentBlockDelta": {"delta": {"toolUse": call}, "contentBlockIndex": block}} if (
                block in self._calls
            ):
                if block in self._calls:
                    delta = {"index": self._calls[block], "function": {"arguments": call["input"]}}
                    yield self._head.chunk({"tool_calls": [delta]})
            case {"messageStop": {"stopReason": reason}}:
                self._stopped = True
                yield self._head.chunk({}, finish_reason(reason))
            case {"metadata": {"usage": tokens}} if self._request.wants_usage:
                yield self._head.usage(_usage(tokens))
            case _:
                return

    def _has_all_calls(self) -> bool:
        return self._request.parallel_tool_calls is False and bool(self._calls)

    def end(self) -> None:
        """Nothing more comes.  Raises ChatError if something was still to come."""
        if not self._stopped:
            raise bad_answer("the stream broke off")
