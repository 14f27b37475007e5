"""The building blocks of the stack file and of the catalog's data: how a name, an amount, a time, a day, a price or an
address is written in YAML, and what a person reads whose value is none.

Everything is strict: `60` is a number, `"60"` is not, and a key nobody knows is refused.  YAML is camelCase, as in
Pulumi and Kubernetes; Python attributes are snake_case.  What a validator raises is a predicate, which is printed after
the value it is about: `"5 min" is not a time: …`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from ipaddress import IPv4Network, ip_address
from math import isfinite
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Exact(BaseModel):
    """Unknown keys are refused, nothing is coerced, nothing changes after loading, and errors never quote a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Strict(Exact):
    """A part of the configuration, in camelCase.

    Python code gives fields by their names; what is read from YAML is validated with `by_name=False`, keys only.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


def by_key(
    keys: Mapping[str, str], *, literals: Sequence[str] = (), otherwise: str | None = None, choices: str = ""
) -> Discriminator:
    """Tells the members of a union apart: `keys` has the tag of each key that only one of them has.

    Tags stand in angle brackets, which no name in a stack can hold: pydantic puts them into an error's place.  Of
    `literals` it is `<literal>`.  A person whose value is none of the members reads `choices`.
    """

    def tag(value: object) -> str | None:
        if isinstance(value, str) and value in literals:
            return "<literal>"
        return next((tag for key, tag in keys.items() if key in fields_of(value)), otherwise)

    if not choices:
        return Discriminator(tag)
    return Discriminator(tag, custom_error_type="predicate", custom_error_message=f"is none of: {choices}")


def fields_of(value: object) -> Mapping[str, Any]:
    """The fields of a part, be it as it stands in YAML or as it was read."""
    match value:
        case dict():
            return value  # pyright: ignore[reportUnknownVariableType]
        case Strict():
            return dict(value)
        case _:
            return {}


@dataclass(frozen=True)
class Amount:
    """A whole number, written as `<number><unit>`; one without a unit is a number in YAML."""

    noun: str
    units: tuple[tuple[str, int], ...]
    """From small to large."""
    examples: tuple[str, ...]

    def read(self, value: object) -> int:
        sizes = dict(self.units)
        pattern = rf"([0-9]{{1,15}}(?:\.[0-9]{{1,9}})?)({'|'.join(sizes)})"
        if "" in sizes and isinstance(value, int) and not isinstance(value, bool):
            amount = Fraction(value)
        elif isinstance(value, str) and (match := re.fullmatch(pattern, value)):
            amount = Fraction(match[1]) * sizes[match[2]]
        else:
            raise ValueError(f"is not {self.noun}: {self._way_out}")
        if amount <= 0 or amount.denominator != 1:
            raise ValueError(f"is not {self.noun} above 0 in whole units: {self._way_out}")
        return int(amount)

    @property
    def _way_out(self) -> str:
        *front, last = self.examples
        return f"write it like {', '.join(front)} or {last}"

    def written(self, amount: int) -> str:
        """In the largest unit that leaves a whole number."""
        unit, size = next((unit, size) for unit, size in reversed(self.units) if amount % size == 0)
        return f"{amount // size}{unit}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        units = [unit for unit, _ in self.units]
        pattern = rf"^[0-9]{{1,15}}(\.[0-9]{{1,9}})?({'|'.join(units)})$"
        text = {"type": "string", "pattern": pattern, "examples": [*self.examples]}
        return {"anyOf": [text, {"type": "integer", "minimum": 1}]} if "" in units else text


Tokens = Annotated[
    int, Amount("a number of tokens", (("", 1), ("k", 10**3), ("M", 10**6), ("B", 10**9)), ("200k", "900M", "1.5B"))
]
MOST_A_MINUTE = 10**9
"""Requests or tokens; what either engine counts with has 32 bits."""

Requests = Annotated[int, Field(gt=0, le=MOST_A_MINUTE)]
TokensAMinute = Annotated[Tokens, Field(le=MOST_A_MINUTE)]

Milliseconds = Annotated[
    int, Amount("a time", (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)), ("500ms", "30s", "5m"))
]
Bytes = Annotated[int, Amount("a size", (("", 1), ("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30)), ("512Ki", "50Mi"))]

_WRITTEN_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T00:00:00Z)?")


def _day(value: object) -> date:
    """A day as text; Pulumi makes `2026-07-06T00:00:00Z` of a day without quotes."""
    if type(value) is date:
        return value
    try:
        if isinstance(value, str) and (match := _WRITTEN_DAY.fullmatch(value)):
            return date.fromisoformat(match[1])
    except ValueError:
        pass
    raise ValueError("is not a day: write it like 2026-07-06")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]

_WRITTEN_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")


def _micro_dollars(value: object) -> int:
    """Dollars, as a person writes them, to whole micro-dollars."""
    if isinstance(value, int) and not isinstance(value, bool):
        dollars = Fraction(value)
    elif isinstance(value, float) and isfinite(value):
        dollars = Fraction(str(value))
    elif isinstance(value, str) and _WRITTEN_DOLLARS.fullmatch(value):
        dollars = Fraction(value)
    else:
        raise ValueError("is not a price: write dollars, like 0.72")
    if not 0 <= dollars < 1_000_000:
        raise ValueError("is not a price from 0 up to a million dollars")
    micro = dollars * 1_000_000
    if micro.denominator != 1:
        raise ValueError("is finer than a millionth of a dollar, the finest there is")
    return int(micro)


MicroDollars = Annotated[
    int,
    BeforeValidator(_micro_dollars),
    WithJsonSchema(
        {"type": ["number", "string"], "minimum": 0, "pattern": f"^{_WRITTEN_DOLLARS.pattern}$", "examples": [0.72]}
    ),
]
"""Dollars in YAML (`0.72`), whole micro-dollars in Python (`720_000`)."""

_NO_URL = "is not a URL like https://llm.lab.example.com/v1, without user name, query and fragment"


def _url(value: str) -> str:
    """Without a slash at its end.  A user name is refused: it would be a credential in the open."""
    try:
        parts = urlsplit(value)
        good = parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(_NO_URL)
    base = value.rstrip("/")
    endpoint = next((each for each in _ENDPOINTS if base.endswith(each)), None)
    if endpoint:
        raise ValueError(f"is the URL of an endpoint; the base URL is {base.removesuffix(endpoint)}")
    return base


_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models")
"""What a client puts behind a base URL."""


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("is not an IP address like 127.0.0.1 or 0.0.0.0") from None


ANYWHERE = "anywhere"
"""A source: the whole internet."""


def _source(value: str) -> str:
    """A single address without `/32`."""
    if value == ANYWHERE:
        return value
    try:
        return str(IPv4Network(value)).removesuffix("/32")
    except ValueError:
        raise ValueError("is not a source: write `anywhere`, or an IPv4 address or range like 203.0.113.0/24") from None


def ranges(sources: Sequence[str]) -> list[str]:
    """Sources as ranges."""
    if ANYWHERE in sources:
        return ["0.0.0.0/0"]
    return [source if "/" in source else f"{source}/32" for source in sources]


def _network(value: str) -> str:
    try:
        if "/" in value:
            return str(IPv4Network(value))
    except ValueError:
        pass
    raise ValueError("is not a range of IPv4 addresses: write it like 203.0.113.0/24, the bits after the prefix at 0")


_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The numbers that the AWS provider has for `retention_in_days` of a log group (pulumi-aws, `LogGroup`)."""


def _retention_days(days: int) -> int:
    if days not in _RETENTION_DAYS:
        near = min(_RETENTION_DAYS, key=lambda allowed: abs(allowed - days))
        allowed = ", ".join(map(str, _RETENTION_DAYS))
        raise ValueError(
            f"is not a number of days for which CloudWatch keeps logs: take {near}, the nearest of {allowed}"
        )
    return days


RetentionDays = Annotated[
    int, AfterValidator(_retention_days), Field(json_schema_extra={"enum": [*_RETENTION_DAYS]}, examples=[30])
]
"""Days for which CloudWatch can keep a log."""

Text = Annotated[str, Field(min_length=1)]

Residency = list[Text]
"""Places (`us`, `eu`) or single regions (`us-east-1`) in which a request may be processed; nowhere else."""

_URL = r"^https?://[^\s?#@{}]+$"
_VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
_SUBDOMAIN = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
_HOST_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
_RESERVATION = r"^cr-[0-9a-f]{17}$"
_IMAGE = r"^[a-z0-9][a-z0-9./_:-]*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?$"
_CHART_VERSION = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"
_MIRROR = (
    r"^([a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?|[a-z0-9-]+:[0-9]{1,5})(/([a-z0-9]+([._-]+[a-z0-9]+)*|\{registry\}))*$"
)
_VPC = r"^vpc-[0-9a-f]+$"
_SUBNET = r"^subnet-[0-9a-f]+$"
_ROLE = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$"
_VERSION = r"^1\.[0-9]{2}$"
_TENANT_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_KEY_HASH = r"^sha256:[0-9a-f]{64}$"
_DNS_NAME = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_ORIGIN = r"^(\*|https?://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?)$"
_KUBERNETES_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACED = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_TAG_KEY = r"^[a-zA-Z0-9 ._:/=+@-]{1,128}$"
_TAG_VALUE = r"^[a-zA-Z0-9 ._:/=+@-]{1,256}$"
_POLICY_ARN = r"^arn:aws[a-z-]*:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$"
_AWS_ACCOUNT = r"^[0-9]{12}$"
_ENTRA_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_AZURE_SUBSCRIPTION = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_BUCKET_ARN = r"^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"
_CERTIFICATE_ARN = r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9A-Za-z-]+$"

MISMATCHES = {
    _KEY_HASH: "is not the hash of a key, sha256:<64 hexadecimal digits>: `corral key hash` makes it; "
    "a key that stood here is to be changed",
    _TENANT_NAME: "is not a tenant's name: lower-case letters, digits and -, at most 63 characters",
    _DNS_NAME: "is not a DNS name like llm.example.com, in lower case",
    _ORIGIN: "is not an origin: write it like https://chat.example.com, without a path, or * for every page",
    _KUBERNETES_NAME: "is not a name in Kubernetes: lower-case letters, digits, - and .",
    _NAMESPACED: "is not a namespace and a secret in it: write it like ingress/llm-tls",
    _BUCKET_ARN: "is not the ARN of a bucket: write it like arn:aws:s3:::team-logs, with a folder where it has one",
    _CERTIFICATE_ARN: "is not the ARN of a certificate: write it like "
    "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
    _TAG_KEY: "is not a tag's name at Bedrock: letters, digits, spaces and . _ : / = + @ -, at most 128 characters",
    _TAG_VALUE: "is not a tag's value at Bedrock: letters, digits, spaces and . _ : / = + @ -, at most 256 characters",
    _POLICY_ARN: "is not the ARN of an IAM policy: write it like arn:aws:iam::123456789012:policy/corral-boundary",
    _AWS_ACCOUNT: "is not the number of an AWS account: 12 digits, in quotes",
    _ENTRA_ID: "is not an id of Entra: write it like 01234567-89ab-cdef-0123-456789abcdef",
    _AZURE_SUBSCRIPTION: "is not the id of an Azure subscription: write it like 01234567-89ab-cdef-0123-456789abcdef",
    _RESERVATION: "is not the id of a capacity reservation: write it like cr-0123456789abcdef0",
    _IMAGE: "is not an image with its tag: write it like vllm/vllm-openai:v0.29.0, with @sha256:… to pin its digest",
    _CHART_VERSION: "is not the version of a chart: write it like v1.8.3",
    _MIRROR: "is not a registry: write it like registry.example.com/mirror, without https:// or a / at its end",
    _VPC: "is not the id of a VPC: write it like vpc-0123456789abcdef0",
    _SUBNET: "is not the id of a subnet: write it like subnet-0123456789abcdef0",
    _ROLE: "is not the ARN of an IAM role or user: write it like arn:aws:iam::123456789012:role/Platform",
    _VERSION: "is not a version of Kubernetes: write it in quotes, like '1.35'",
    _URL: _NO_URL,
    _VARIABLE: "is not the name of an environment variable: capitals, digits and _, like LAB_API_KEY",
    _SUBDOMAIN: "is not a subdomain: lower-case letters, digits and -, at most 64 characters",
    _HOST_NAME: "is not a host's name: lower-case letters, digits and -, at most 40 characters",
    _MODEL_NAME: "is not a model's name: letters, digits and . _ : / -, at most 128 characters",
}
"""The predicate of a text that does not match, by pattern."""

Url = Annotated[str, Field(pattern=_URL), AfterValidator(_url)]
"""A base URL: scheme, host and path; in Python without a slash at its end."""
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Source = Annotated[str, AfterValidator(_source)]
Variable = Annotated[str, Field(pattern=_VARIABLE)]
Subdomain = Annotated[str, Field(pattern=_SUBDOMAIN)]
HostName = Annotated[str, Field(pattern=_HOST_NAME)]
ModelName = Annotated[str, Field(pattern=_MODEL_NAME)]
TenantName = Annotated[str, Field(pattern=_TENANT_NAME)]
KeyHash = Annotated[str, Field(pattern=_KEY_HASH)]
ReservationId = Annotated[str, Field(pattern=_RESERVATION)]
VpcId = Annotated[str, Field(pattern=_VPC)]
SubnetId = Annotated[str, Field(pattern=_SUBNET)]
PrincipalArn = Annotated[str, Field(pattern=_ROLE)]
TagKey = Annotated[str, Field(pattern=_TAG_KEY)]
TagValue = Annotated[str, Field(pattern=_TAG_VALUE)]
PolicyArn = Annotated[str, Field(pattern=_POLICY_ARN)]
AwsAccount = Annotated[str, Field(pattern=_AWS_ACCOUNT)]
EntraId = Annotated[str, Field(pattern=_ENTRA_ID)]
AzureSubscription = Annotated[str, Field(pattern=_AZURE_SUBSCRIPTION)]
BucketArn = Annotated[str, Field(pattern=_BUCKET_ARN)]
CertificateArn = Annotated[str, Field(pattern=_CERTIFICATE_ARN)]
Image = Annotated[str, Field(pattern=_IMAGE)]
ChartVersion = Annotated[str, Field(pattern=_CHART_VERSION)]
Mirror = Annotated[str, Field(pattern=_MIRROR)]
Origin = Annotated[str, Field(pattern=_ORIGIN)]
DnsName = Annotated[str, Field(pattern=_DNS_NAME)]
KubernetesName = Annotated[str, Field(pattern=_KUBERNETES_NAME)]
KubernetesVersion = Annotated[str, Field(pattern=_VERSION)]
SecretReference = Annotated[str, Field(pattern=_NAMESPACED)]


class Price(Strict):
    """The price a host asks, in dollars per million tokens."""

    input: MicroDollars
    """The dollars for a million tokens of the prompt, like 0.72."""
    output: MicroDollars
    """The dollars for a million tokens of the answer, like 0.72."""
    cached_input: MicroDollars | None = None
    """The dollars for a million tokens of the prompt that the host has kept from one before, like 0.36; they cost what
    `input` says where nothing is said."""


Auth = Literal["bearer", "api-key", "aws", "entra", "none"]
"""The form in which a host takes its credential: `Authorization: Bearer`, `api-key:`, AWS credentials, or none."""


class Restricted(Strict):
    """The model is served, but not to everybody."""

    restricted: Text
    """The customers that are served, or the condition for it."""


class Retired(Strict):
    """The model is gone, or announced to go."""

    retired: Day
    """The last day on which the model is served, like 2026-07-06; it may lie in the future."""


Lifecycle = Annotated[
    Annotated[Literal["available"], Tag("<literal>")]
    | Annotated[Restricted, Tag("<restricted>")]
    | Annotated[Retired, Tag("<retired>")],
    by_key(
        {"retired": "<retired>", "restricted": "<restricted>"},
        literals=["available"],
        choices="available, {restricted: <to whom>}, {retired: <the last day>}",
    ),
]
