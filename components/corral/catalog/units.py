"""The building blocks of the stack schema: how a name, an amount, a time and a price are written in YAML.

Everything is strict: `60` is a number, `"60"` is not, and a key nobody knows is refused.  YAML is camelCase, as in
Pulumi and Kubernetes; Python attributes are snake_case.

What a validator raises is a predicate, which is printed after the value it is about: `"5 min" is not a time: …`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from ipaddress import IPv4Network, ip_address
from math import isfinite
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic.alias_generators import to_camel


class Exact(BaseModel):
    """Unknown keys are refused, nothing is coerced, nothing changes after loading, and errors never quote a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Strict(Exact):
    """A part of the configuration, in camelCase.

    Python code gives fields by their names; what is read from YAML is validated with `by_name=False`, keys only.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


def _amount(what: str, units: dict[str, int], example: str) -> Callable[[Any], int]:
    """A validator for `<number><unit>`; a plain whole number is taken where the unit may be left out."""
    pattern = re.compile(rf"([0-9]{{1,15}}(?:\.[0-9]{{1,9}})?)({'|'.join(units)})")

    def parse(value: Any) -> int:
        if "" in units and isinstance(value, int) and not isinstance(value, bool):
            amount = Fraction(value)
        elif isinstance(value, str) and (found := pattern.fullmatch(value)):
            amount = Fraction(found[1]) * units[found[2]]
        else:
            raise ValueError(f"is not {what}: write it like {example}")
        if amount <= 0 or amount.denominator != 1:
            raise ValueError(f"is not {what} above 0 in whole units: write it like {example}")
        return int(amount)

    return parse


_WRITTEN_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T00:00:00Z)?")


def _day(value: Any) -> date:
    """A day as text; Pulumi makes `2026-07-06T00:00:00Z` of a day without quotes."""
    if type(value) is date:
        return value
    try:
        if isinstance(value, str) and (found := _WRITTEN_DAY.fullmatch(value)):
            return date.fromisoformat(found[1])
    except ValueError:
        pass
    raise ValueError("is not a day: write it like 2026-07-06")


_WRITTEN_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")


def _micro_dollars(value: Any) -> int:
    """Dollars, as a person writes them, to whole micro-dollars."""
    if isinstance(value, int) and not isinstance(value, bool):
        dollars = Fraction(value)
    elif isinstance(value, float) and isfinite(value):
        dollars = Fraction(str(value))
    elif isinstance(value, str) and _WRITTEN_DOLLARS.fullmatch(value):
        dollars = Fraction(value)
    else:
        raise ValueError("is not a price: write dollars per million tokens, like 0.72")
    if not 0 <= dollars < 1_000_000:
        raise ValueError("is not a price from 0 up to a million dollars per million tokens")
    micro = dollars * 1_000_000
    if micro.denominator != 1:
        raise ValueError("is finer than a millionth of a dollar, the finest there is")
    return int(micro)


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
    return value.rstrip("/")


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("is not an IP address like 127.0.0.1 or 0.0.0.0") from None


def _source(value: str) -> str:
    """A single address without `/32`."""
    if value == "anywhere":
        return value
    try:
        return str(IPv4Network(value)).removesuffix("/32")
    except ValueError:
        raise ValueError("is not a source: write `anywhere`, or an IPv4 address or range like 203.0.113.0/24") from None


def _network(value: str) -> str:
    try:
        if "/" in value:
            return str(IPv4Network(value))
    except ValueError:
        pass
    raise ValueError("is not a range of IPv4 addresses: write it like 203.0.113.0/24, the bits after the prefix at 0")


_OLDEST = 33
"""The oldest Kubernetes 1.x that is taken."""


def _kubernetes_version(value: str) -> str:
    if int(value.removeprefix("1.")) < _OLDEST:
        raise ValueError(f"is too old: take 1.{_OLDEST} or newer")
    return value


def _written(units: str, example: str, *, bare: bool) -> WithJsonSchema:
    """The JSON Schema of an amount; `bare`: also as a whole number without a unit."""
    text = {"type": "string", "pattern": rf"^[0-9]{{1,15}}(\.[0-9]{{1,9}})?({units})$", "examples": [example]}
    return WithJsonSchema({"anyOf": [text, {"type": "integer", "minimum": 1}]} if bare else text)


Tokens = Annotated[
    int,
    BeforeValidator(_amount("a number of tokens", {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}, "200k, 900M or 1.5B")),
    _written("|k|M|B", "900M", bare=True),
]
"""Tokens: `200k`, `900M`, `1.5B` or a whole number."""

Milliseconds = Annotated[
    int,
    BeforeValidator(_amount("a time", {"ms": 1, "s": 10**3, "m": 60 * 10**3, "h": 3600 * 10**3}, "500ms, 30s or 5m")),
    _written("ms|s|m|h", "30s", bare=False),
]
"""A time span: `500ms`, `30s`, `5m`, `1h`; in Python whole milliseconds."""

Bytes = Annotated[
    int,
    BeforeValidator(_amount("a size", {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}, "512Ki or 50Mi")),
    _written("|Ki|Mi|Gi", "50Mi", bare=True),
]
"""A size: `50Mi`; in Python bytes."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A day: `2026-07-06`."""

MicroDollars = Annotated[
    int,
    BeforeValidator(_micro_dollars),
    WithJsonSchema(
        {"type": ["number", "string"], "minimum": 0, "pattern": f"^{_WRITTEN_DOLLARS.pattern}$", "examples": [0.72]}
    ),
]
"""Dollars in YAML (`0.72`), whole micro-dollars in Python (`720_000`)."""

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
_VPC = r"^vpc-[0-9a-f]+$"
_SUBNET = r"^subnet-[0-9a-f]+$"
_ROLE = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$"
_VERSION = r"^1\.[0-9]{2}$"
_TENANT_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_KEY_HASH = r"^sha256:[0-9a-f]{64}$"
_DNS_NAME = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_KUBERNETES_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACED = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_CERTIFICATE_ARN = r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9A-Za-z-]+$"

MISMATCHES = {
    _KEY_HASH: "is not the hash of a key, sha256:<64 hexadecimal digits>: `corral key hash` makes it; "
    "a key that stood here is to be changed",
    _TENANT_NAME: "is not a tenant's name: lower-case letters, digits and -, at most 63 characters",
    _DNS_NAME: "is not a DNS name like llm.example.com, in lower case",
    _KUBERNETES_NAME: "is not a name in Kubernetes: lower-case letters, digits, - and .",
    _NAMESPACED: "is not a namespace and a secret in it: write it like ingress/llm-tls",
    _CERTIFICATE_ARN: "is not the ARN of a certificate: write it like "
    "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
    _RESERVATION: "is not the id of a capacity reservation: write it like cr-0123456789abcdef0",
    _IMAGE: "is not an image with its tag: write it like vllm/vllm-openai:v0.29.0, with @sha256:… to pin its digest",
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
"""Per pattern what is said of a text that does not match it."""

Url = Annotated[str, Field(pattern=_URL), AfterValidator(_url)]
"""A base URL: scheme, host and path; in Python without a slash at its end."""

Address = Annotated[str, AfterValidator(_address)]
"""An IP address to listen on."""

Source = Annotated[str, AfterValidator(_source)]
"""Who may call: an IPv4 address, a range of them, or `anywhere`."""

Variable = Annotated[str, Field(pattern=_VARIABLE)]
"""The name of an environment variable."""

Subdomain = Annotated[str, Field(pattern=_SUBDOMAIN)]

ReservationId = Annotated[str, Field(pattern=_RESERVATION)]
VpcId = Annotated[str, Field(pattern=_VPC)]
SubnetId = Annotated[str, Field(pattern=_SUBNET)]
PrincipalArn = Annotated[str, Field(pattern=_ROLE)]
"""The ARN of an IAM role or user."""

Image = Annotated[str, Field(pattern=_IMAGE)]
"""A container image with its tag, and with its digest where it has one."""

KubernetesVersion = Annotated[str, Field(pattern=_VERSION), AfterValidator(_kubernetes_version)]
"""`1.35`, in quotes; 1.33 at least."""

Network = Annotated[str, AfterValidator(_network)]
"""IPv4 addresses: `203.0.113.0/24`."""

HostName = Annotated[str, Field(pattern=_HOST_NAME)]
"""A host's name in the stack."""

ModelName = Annotated[str, Field(pattern=_MODEL_NAME)]
"""The name clients ask for."""

TenantName = Annotated[str, Field(pattern=_TENANT_NAME)]
"""Who calls."""

KeyHash = Annotated[str, Field(pattern=_KEY_HASH)]
"""The SHA-256 of an API key: `sha256:` and 64 hexadecimal digits."""

DnsName = Annotated[str, Field(pattern=_DNS_NAME)]
"""`llm.example.com`."""

KubernetesName = Annotated[str, Field(pattern=_KUBERNETES_NAME)]
"""The name of an object in a cluster."""

SecretReference = Annotated[str, Field(pattern=_NAMESPACED)]
"""A secret of a cluster, with its namespace: `ingress/llm-tls`."""

CertificateArn = Annotated[str, Field(pattern=_CERTIFICATE_ARN)]
"""A certificate of AWS Certificate Manager."""


class Price(Strict):
    """What a host charges, in dollars per million tokens."""

    input: MicroDollars
    """Per million tokens of the prompt."""
    output: MicroDollars
    """Per million tokens of the answer."""


Auth = Literal["bearer", "api-key", "aws", "none"]
"""How a host wants to be shown its credential: `Authorization: Bearer`, `api-key:`, AWS credentials, or not at all."""


class Restricted(Strict):
    """Served, but not to everybody."""

    restricted: Text
    """To whom, or under which condition."""


class Retired(Strict):
    """Gone, or announced to go."""

    retired: Day
    """The last day; may lie in the future."""


def stated(value: object) -> dict[str, Any]:
    """What a part says, by key: as it stands in YAML, or read already."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return dict(value) if isinstance(value, Strict) else {}


def _lifecycle_tag(value: object) -> str | None:
    if value == "available":
        return "<available>"
    said = stated(value)
    return "<retired>" if "retired" in said else "<restricted>" if "restricted" in said else None


Lifecycle = Annotated[
    Annotated[Literal["available"], Tag("<available>")]
    | Annotated[Restricted, Tag("<restricted>")]
    | Annotated[Retired, Tag("<retired>")],
    Discriminator(
        _lifecycle_tag,
        custom_error_type="predicate",
        custom_error_message="is none of: available, {restricted: <to whom>}, {retired: <the last day>}",
    ),
]
