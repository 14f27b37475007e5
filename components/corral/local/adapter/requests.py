"""A request for a chat completion, read from a body.

Policy.  Everything in it must be understood: a key that is not known here is refused by name, unless its value says
nothing (null, or empty).  Keys that are for OpenAI's own records (who the user is, whether to keep the answer) do not
change an answer; they are taken and end here, and so do those of a message that no Llama's template has a place for
(ECHOED), and all that a client gives back with an answer but says nothing more of it: what libraries parsed, what hosts
added.  Which of the other parameters a host can express is its own translation's to say (`ChatRequest.require_only`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from corral.local.adapter.openai import ChatError, invalid, unsupported

BASIC: Final = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"})
"""The parameters that every protocol can express."""

IDLE: Final = frozenset(
    {
        *("metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "user"),
        "reasoning_effort",
    }
)
"""The parameters on which no Llama's answer depends: those that OpenAI keeps or bills by, and how much to reason."""

ECHOED: Final = frozenset({"annotations", "cache_control", "index", "name", "reasoning", "reasoning_content"})
"""Keys of messages and their parts."""

CONTENT: Final = frozenset({"audio", "function_call"})
"""Keys of answers that say something, and that no Llama's template has a place for."""

_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "stream": (False,),
    "tool_choice": ("auto", "none"),
    "top_logprobs": (0,),
}
"""Values that ask for what is answered anyway, by whoever takes no tools."""


def _is_empty(value: object) -> bool:
    return value is None or value in ([], {}, "")


class _Open(BaseModel):
    """Nothing is coerced, and no error quotes a value."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)


class _Part(_Open):
    """A part of a request, all of whose keys must be understood."""

    @model_validator(mode="after")
    def _all_is_understood(self) -> Self:
        for key, value in (self.model_extra or {}).items():
            if not self._ignores(key) and not _is_empty(value):
                raise PydanticCustomError("not_understood", "{key}", {"key": key})
        return self

    def _ignores(self, key: str) -> bool:
        return key in ECHOED


class _Answer(_Part):
    """A part of an answer that was got before."""

    def _ignores(self, key: str) -> bool:
        return key not in CONTENT


def _by(key: str) -> Callable[[object], str]:
    """Tells the members of a union apart; their tags stand in angle brackets, which no key of a request does."""

    def tag(value: object) -> str:
        return f"<{cast('dict[str, object]', value).get(key)}>" if isinstance(value, dict) else "<none>"

    return tag


_T = TypeVar("_T")


def _text_or_other(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<other>"


_TextOr = Annotated[Annotated[str, Tag("<text>")] | Annotated[_T, Tag("<other>")], Discriminator(_text_or_other)]
"""A text, or else something that is none."""


class TextPart(_Part):
    type: Literal["text"]
    text: str


class RefusalPart(_Part):
    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class ImageUrl(_Part):
    """The address of an image, or the image itself."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None
    """No Llama sees an image in more or less detail."""


class ImagePart(_Part):
    type: Literal["image_url"]
    image_url: ImageUrl


_UserPart = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[ImagePart, Tag("<image_url>")],
    Discriminator(
        _by("type"), custom_error_type="part", custom_error_message="is neither a text nor an image, and nothing else"
    ),
]
_AssistantPart = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    Discriminator(_by("type"), custom_error_type="part", custom_error_message="is neither a text nor a refusal"),
]


class SystemMessage(_Part):
    role: Literal["system", "developer"]
    content: _TextOr[list[TextPart]]


class UserMessage(_Part):
    role: Literal["user"]
    content: _TextOr[list[_UserPart]]


class NamedFunction(_Part):
    name: str


class FunctionCall(_Answer, NamedFunction):
    arguments: str
    """JSON."""


class Function(NamedFunction):
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Part, Generic[_T]):
    type: Literal["function"]
    function: _T


class ToolCall(_Answer, Tool[FunctionCall]):
    id: str


class AssistantMessage(_Answer):
    role: Literal["assistant"]
    content: _TextOr[list[_AssistantPart]] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class ToolMessage(_Part):
    role: Literal["tool"]
    content: _TextOr[list[TextPart]]
    tool_call_id: str


Message = Annotated[
    Annotated[SystemMessage, Tag("<system>")]
    | Annotated[SystemMessage, Tag("<developer>")]
    | Annotated[UserMessage, Tag("<user>")]
    | Annotated[AssistantMessage, Tag("<assistant>")]
    | Annotated[ToolMessage, Tag("<tool>")],
    Discriminator(
        _by("role"),
        custom_error_type="role",
        custom_error_message="has a role that is none of system, developer, user, assistant, tool",
    ),
]


class StreamOptions(_Part):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Padding against eavesdroppers, of whom there are none between the gateway and here."""


_TokenLimit = Annotated[int, Field(ge=1)] | None
_Penalty = Annotated[float, Field(ge=-2, le=2)] | None


class ChatRequest(_Open):
    """A request for a chat completion; None: not given."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _TokenLimit = None
    max_completion_tokens: _TokenLimit = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: _Penalty = None
    frequency_penalty: _Penalty = None
    stop: _TextOr[list[str]] | None = None
    tools: list[Tool[Function]] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    service_tier: str | None = None
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("<text>")]
            | Annotated[Tool[NamedFunction], Tag("<other>")],
            Discriminator(_text_or_other),
        ]
        | None
    ) = None

    @classmethod
    def read(cls, body: bytes) -> ChatRequest:
        """The request in a body.  Raises ChatError."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise _refusal(error.errors(include_url=False, include_input=False)[0]) from None

    @property
    def limit(self) -> int | None:
        """The most tokens the answer may have."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The texts at which the answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def require_only(self, supported: frozenset[str], protocol: str) -> None:
        """Raises ChatError for the first parameter, by name, that asks for something a protocol cannot express."""
        parameters: dict[str, object] = {name: getattr(self, name) for name in self.model_fields_set}
        for name, value in sorted((parameters | (self.model_extra or {})).items()):
            is_default = _is_empty(value) or value in _DEFAULTS.get(name, ())
            if name not in supported and name not in IDLE and not is_default:
                raise unsupported(name, f"cannot be asked of this host: {protocol} has nothing like it")


def _refusal(error: ErrorDetails) -> ChatError:
    place = _place(error["loc"])
    if error["type"] == "json_invalid":
        return ChatError(400, f"the body is not JSON: {error['msg']}", "invalid_json")
    if error["type"] == "not_understood":
        return unsupported(f"{place}.{error['msg']}", "is not understood here")
    if error["type"] in ("part", "role"):
        return invalid(place, error["msg"])
    return invalid(place or "the body", f"is wrong: {error['msg']}")


def _place(loc: tuple[int | str, ...]) -> str:
    """`messages[0].content`, without the tags of unions."""
    place = ""
    for step in loc:
        if isinstance(step, int):
            place += f"[{step}]"
        elif not step.startswith("<"):
            place += f".{step}" if place else step
    return place
