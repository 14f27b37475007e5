"""A chat completion as it is asked for, read from the body of a request.

Policy.  Everything that is said must be understood: a key that is not known here is refused by name, unless its value
says nothing (null, or empty).  Keys that are for OpenAI's own records (who the user is, whether to keep the answer) do
not change an answer; they are taken and end here.  Which of the other parameters a host can express is its own
translation's to say (`beyond`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from corral.local.adapter.openai import ChatError, refused, unsupported

RECORDS: Final = frozenset(
    {"metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "user"}
)
"""What OpenAI keeps or bills by; no host's answer depends on it."""

_SAYS_NOTHING: Final[Mapping[str, tuple[Any, ...]]] = {
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "stream": (False,),
    "top_logprobs": (0,),
}
"""Values that ask for what is answered anyway."""


def _empty(value: object) -> bool:
    return value is None or value in ([], {}, "")


class _Said(BaseModel):
    """Nothing is coerced, and no error quotes what was said."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)


class _Part(_Said):
    """A part of a request, all of whose keys must be understood."""

    @model_validator(mode="after")
    def _all_is_understood(self) -> Self:
        for key, value in (self.model_extra or {}).items():
            if not _empty(value):
                raise PydanticCustomError("not_understood", "{key}", {"key": key})
        return self


def _by(key: str) -> Callable[[object], str]:
    """Tells the members of a union apart; their tags stand in angle brackets, which no key of a request does."""

    def tag(value: object) -> str:
        return f"<{cast('dict[str, object]', value).get(key)}>" if isinstance(value, dict) else "<none>"

    return tag


def _text_or_parts(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<parts>"


class TextPart(_Part):
    """A text."""

    type: Literal["text"]
    text: str


class RefusalPart(_Part):
    """What the assistant said when it refused."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class ImageUrl(_Part):
    """Where an image is, or the image itself."""

    url: str
    detail: Literal["auto"] | None = None
    """No host takes `low` or `high`."""


class ImagePart(_Part):
    """An image."""

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
Texts = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[TextPart], Tag("<parts>")], Discriminator(_text_or_parts)
]


class SystemMessage(_Part):
    """An instruction."""

    role: Literal["system", "developer"]
    content: Texts


class UserMessage(_Part):
    """What the user says."""

    role: Literal["user"]
    content: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[list[_UserPart], Tag("<parts>")], Discriminator(_text_or_parts)
    ]


class CalledFunction(_Part):
    """A function's name, and its arguments as JSON."""

    name: str
    arguments: str


class ToolCall(_Part):
    """A call that the assistant made."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(_Part):
    """What the assistant said before."""

    role: Literal["assistant"]
    content: (
        Annotated[
            Annotated[str, Tag("<text>")] | Annotated[list[_AssistantPart], Tag("<parts>")],
            Discriminator(_text_or_parts),
        ]
        | None
    ) = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class ToolMessage(_Part):
    """What a call gave."""

    role: Literal["tool"]
    content: Texts
    tool_call_id: str
    name: str | None = None
    """The function's, which the call says already."""


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


class Function(_Part):
    """A function on offer."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Part):
    """A tool on offer."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Part):
    """A function, by name."""

    name: str


class ChosenTool(_Part):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Part):
    """How a stream is wanted."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Padding against eavesdroppers, of whom there are none between the gateway and here."""


class Asked(_Said):
    """A chat completion that is asked for; None: not said."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: (
        Annotated[Annotated[str, Tag("<text>")] | Annotated[list[str], Tag("<parts>")], Discriminator(_text_or_parts)]
        | None
    ) = None
    tools: list[Tool] | None = None
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("<text>")] | Annotated[ChosenTool, Tag("<parts>")],
            Discriminator(_text_or_parts),
        ]
        | None
    ) = None

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

    def beyond(self, taken: frozenset[str], protocol: str) -> ChatError | None:
        """The refusal of the first parameter, by name, that asks for something a protocol cannot express.

        `taken` are those it can.
        """
        said: dict[str, object] = {name: getattr(self, name) for name in self.model_fields_set}
        for name, value in sorted((said | (self.model_extra or {})).items()):
            says_nothing = _empty(value) or value in _SAYS_NOTHING.get(name, ())
            if name not in taken and name not in RECORDS and not says_nothing:
                return unsupported(name, f"cannot be asked of this host: {protocol} has nothing like it")
        return None


def read(body: bytes) -> Asked:
    """The request in a body.  Raises ChatError."""
    try:
        return Asked.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_input=False)[0]) from None


def _refusal(error: ErrorDetails) -> ChatError:
    place = _place(error["loc"])
    if error["type"] == "json_invalid":
        return ChatError(400, f"the body is not JSON: {error['msg']}", code="invalid_json")
    if error["type"] == "not_understood":
        return unsupported(f"{place}.{error['msg']}", "is not understood here")
    if error["type"] in ("part", "role"):
        return refused(place, error["msg"])
    return refused(place or "the body", f"is wrong: {error['msg']}")


def _place(loc: tuple[int | str, ...]) -> str:
    """`messages[0].content`, without the tags of unions."""
    place = ""
    for step in loc:
        if isinstance(step, int):
            place += f"[{step}]"
        elif not step.startswith("<"):
            place += f".{step}" if place else step
    return place
