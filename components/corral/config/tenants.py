"""Those who may call: how each proves who it is, what it may ask for, and how much.

A tenant proves itself by an API key or by a token of an issuer.  The file has the SHA-256 alone of a key; a key of
`corral key new` is random and as long as its hash, so that nobody finds it from there.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from corral.catalog.patterns import KeyHash, ModelName
from corral.catalog.units import Bytes, MicroDollars, Requests, Residency, Strict, Text, TokensAMinute

DEFAULT: Final = "default"
"""The one tenant of a kubernetes engine whose stack declares none: nobody calls that engine without a key."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _keys_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, trusted = parts.hostname, parts.scheme == "https" or parts.hostname in _LOOPBACK
        good = host and parts.scheme in ("http", "https") and parts.username is None and not parts.fragment
    except ValueError:
        good = trusted = False
    if not good or any(character.isspace() for character in value):
        raise ValueError("is not a URL like https://login.example.com/keys, without user name and fragment")
    if not trusted:
        raise ValueError("lets anybody on the way give the keys that are trusted: take https, or give jwksFile")
    return value


class Rate(Strict):
    """The requests and tokens that may be used in a minute."""

    requests_per_minute: Requests | None = None
    """The requests a minute; by default they are not limited."""
    tokens_per_minute: TokensAMinute | None = None
    """The tokens a minute of prompts and answers together, like `200k`; by default they are not limited."""


class Budget(Strict):
    """The dollars that a tenant's requests may cost, on the local engine; a day and a month begin at midnight UTC."""

    day: Annotated[MicroDollars, Field(gt=0, examples=[300])] | None = None
    """The dollars of a day, like 300; by default they are not limited."""
    month: Annotated[MicroDollars, Field(gt=0, examples=[4000])] | None = None
    """The dollars of a calendar month, like 4000; by default they are not limited."""
    at_limit: Literal["refuse", "allow"] = "refuse"
    """The answer to a request that might cost more than is left: `refuse` it with 429, or `allow` it and say so in
    notices and metrics."""


class Tenant(Rate):
    """A caller, with its keys and its limits; what is left out is not limited."""

    keys: list[KeyHash] = Field(
        default=[], examples=[["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]]
    )
    """The hashes of the tenant's API keys for the local engine, as `corral key new` prints them; several while they are
    changed."""
    claims: list[Text] | None = Field(default=None, min_length=1, examples=[["team-search"]])
    """The values of an issuer's claim that are this tenant; by default its name."""
    models: list[ModelName] | None = Field(default=None, min_length=1, examples=[["llama-3.3-70b"]])
    """The models that the tenant may ask for; by default every model."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """The places or single regions in which the tenant's requests may be processed, within those of the stack and of
    the model."""
    priority: Literal["high", "normal"] = "normal"
    """The priority of the tenant's requests: `high` is served first when there is too much for all."""
    concurrent_requests: Requests | None = None
    """The tenant's requests that may be under way at a time; by default they are not limited."""
    body_limit: Bytes | None = None
    """The size of the largest request body, like `1Mi`; at most the engine's, which it is by default."""
    budget: Budget | None = Field(default=None, examples=[{"month": 4000, "day": 300}])
    """The money that the tenant's requests may cost; by default it is not limited."""
    per_model: dict[ModelName, Rate] = Field(
        default={}, examples=[{"llama-3.3-70b": {"requestsPerMinute": 60, "tokensPerMinute": "20k"}}]
    )
    """The tenant's requests and tokens a minute per model, within what it may have of all."""


ISSUER_EXAMPLE = {
    "issuer": "https://login.example.com/",
    "audiences": ["corral"],
    "jwks": "https://login.example.com/keys",
}


class Issuer(Strict):
    """An issuer of JSON Web Tokens, as OpenID Connect has them, that vouches for tenants."""

    issuer: Annotated[Text, Field(examples=[ISSUER_EXAMPLE["issuer"]])]
    """The name of the issuer, to the letter that of `iss` in its tokens."""
    audiences: Annotated[list[Text], Field(min_length=1, examples=[ISSUER_EXAMPLE["audiences"]])]
    """The audiences of which a token must name one in `aud`."""
    jwks: Annotated[str, AfterValidator(_keys_url)] | None = Field(default=None, examples=[ISSUER_EXAMPLE["jwks"]])
    """The URL of the issuer's public keys: `jwks_uri` of its `/.well-known/openid-configuration`."""
    jwks_file: Text | None = None
    """The file with these keys instead, relative to the stack file."""
    claim: Text = "sub"
    """The claim whose value names the tenant; `realm.team` is `team` within `realm`."""
