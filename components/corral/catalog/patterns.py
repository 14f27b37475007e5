"""How what is named in the stack file and in the catalog is written: names, ids, addresses and URLs.

Each says what a person reads whose text is none: a predicate, which is printed after the text it is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Pattern:
    """A text that matches as a whole."""

    pattern: str
    mismatch: str
    """The predicate of a text that does not."""

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def read(self, value: str) -> str:
        if not self._compiled.fullmatch(value):
            raise ValueError(self.mismatch)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": self.pattern}


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


Url = Annotated[str, Pattern(r"^https?://[^\s?#@{}]+$", _NO_URL), AfterValidator(_url)]
"""A base URL: scheme, host and path; in Python without a slash at its end."""
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Source = Annotated[str, AfterValidator(_source)]

Variable = Annotated[
    str,
    Pattern(
        r"^[A-Z_][A-Z0-9_]*$", "is not the name of an environment variable: capitals, digits and _, like LAB_API_KEY"
    ),
]
Subdomain = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
        "is not a subdomain: lower-case letters, digits and -, at most 64 characters",
    ),
]
HostName = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        "is not a host's name: lower-case letters, digits and -, at most 40 characters",
    ),
]
ModelName = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$",
        "is not a model's name: letters, digits and . _ : / -, at most 128 characters",
    ),
]
TenantName = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "is not a tenant's name: lower-case letters, digits and -, at most 63 characters",
    ),
]
KeyHash = Annotated[
    str,
    Pattern(
        r"^sha256:[0-9a-f]{64}$",
        "is not the hash of a key, sha256:<64 hexadecimal digits>: `corral key hash` makes it; "
        "a key that stood here is to be changed",
    ),
]
ReservationId = Annotated[
    str, Pattern(r"^cr-[0-9a-f]{17}$", "is not the id of a capacity reservation: write it like cr-0123456789abcdef0")
]
VpcId = Annotated[str, Pattern(r"^vpc-[0-9a-f]+$", "is not the id of a VPC: write it like vpc-0123456789abcdef0")]
SubnetId = Annotated[
    str, Pattern(r"^subnet-[0-9a-f]+$", "is not the id of a subnet: write it like subnet-0123456789abcdef0")
]
PrincipalArn = Annotated[
    str,
    Pattern(
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$",
        "is not the ARN of an IAM role or user: write it like arn:aws:iam::123456789012:role/Platform",
    ),
]
TagKey = Annotated[
    str,
    Pattern(
        r"^[a-zA-Z0-9 ._:/=+@-]{1,128}$",
        "is not a tag's name at Bedrock: letters, digits, spaces and . _ : / = + @ -, at most 128 characters",
    ),
]
TagValue = Annotated[
    str,
    Pattern(
        r"^[a-zA-Z0-9 ._:/=+@-]{1,256}$",
        "is not a tag's value at Bedrock: letters, digits, spaces and . _ : / = + @ -, at most 256 characters",
    ),
]
PolicyArn = Annotated[
    str,
    Pattern(
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$",
        "is not the ARN of an IAM policy: write it like arn:aws:iam::123456789012:policy/corral-boundary",
    ),
]
AwsAccount = Annotated[str, Pattern(r"^[0-9]{12}$", "is not the number of an AWS account: 12 digits, in quotes")]
EntraId = Annotated[
    str,
    Pattern(
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "is not an id of Entra: write it like 01234567-89ab-cdef-0123-456789abcdef",
    ),
]
AzureSubscription = Annotated[
    str,
    Pattern(
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        "is not the id of an Azure subscription: write it like 01234567-89ab-cdef-0123-456789abcdef",
    ),
]
BucketArn = Annotated[
    str,
    Pattern(
        r"^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$",
        "is not the ARN of a bucket: write it like arn:aws:s3:::team-logs, with a folder where it has one",
    ),
]
CertificateArn = Annotated[
    str,
    Pattern(
        r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9A-Za-z-]+$",
        "is not the ARN of a certificate: write it like "
        "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
    ),
]
Image = Annotated[
    str,
    Pattern(
        r"^[a-z0-9][a-z0-9./_:-]*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?$",
        "is not an image with its tag: write it like vllm/vllm-openai:v0.29.0, with @sha256:… to pin its digest",
    ),
]
ChartVersion = Annotated[
    str, Pattern(r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$", "is not the version of a chart: write it like v1.8.3")
]
Mirror = Annotated[
    str,
    Pattern(
        r"^([a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?|[a-z0-9-]+:[0-9]{1,5})"
        r"(/([a-z0-9]+([._-]+[a-z0-9]+)*|\{registry\}))*$",
        "is not a registry: write it like registry.example.com/mirror, without https:// or a / at its end",
    ),
]
Origin = Annotated[
    str,
    Pattern(
        r"^(\*|https?://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?)$",
        "is not an origin: write it like https://chat.example.com, without a path, or * for every page",
    ),
]
DnsName = Annotated[
    str,
    Pattern(
        r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "is not a DNS name like llm.example.com, in lower case",
    ),
]
SessionHeaderName = Annotated[
    str,
    Pattern(
        r"^(?!(authorization|api-key|x-api-key|host|te|connection|content-.*|x-corral-.*)$)[a-z0-9][a-z0-9-]{0,63}$",
        "is not a header that names a session: lower-case letters, digits and -, like x-session-id, and none that has "
        "another meaning",
    ),
]
KubernetesName = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", "is not a name in Kubernetes: lower-case letters, digits, - and ."
    ),
]
KubernetesVersion = Annotated[
    str, Pattern(r"^1\.[0-9]{2}$", "is not a version of Kubernetes: write it in quotes, like '1.35'")
]
SecretReference = Annotated[
    str,
    Pattern(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        "is not a namespace and a secret in it: write it like ingress/llm-tls",
    ),
]
