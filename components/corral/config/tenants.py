"""What a stack says of those who may call it: how each proves who it is, what it may ask for, and how much.

A tenant proves itself by an API key or by a token of an issuer.  Of a key the file has the SHA-256 alone; a key of
`corral key new` is random and as long as its hash, so that nobody finds it from there.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from corral.catalog.units import Bytes, KeyHash, ModelName, Residency, Strict, Text, Tokens

DEFAULT: Final = "default"
"""The one tenant of a kubernetes engine whose stack declares none: nobody calls that engine without a key."""

_MOST = 10**9
"""A minute's requests or tokens; what either engine counts with has 32 bits."""

Requests = Annotated[int, Field(gt=0, le=_MOST)]

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
    """How much in a minute."""

    requests_per_minute: Requests | None = None
    """Requests; left out: as many as it likes."""
    tokens_per_minute: Annotated[Tokens, Field(le=_MOST)] | None = None
    """Tokens of prompts and answers together; left out: as many as it likes."""


class Tenant(Rate):
    """Who calls.  What is left out is not limited."""

    keys: list[KeyHash] = Field(
        default=[], examples=[["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]]
    )
    """For the local engine the hashes of its API keys, as `corral key new` prints them; several while they are
    changed."""
    claims: list[Text] | None = Field(default=None, min_length=1, examples=[["team-search"]])
    """The values of an issuer's claim that are this tenant; its name where they are left out."""
    models: list[ModelName] | None = Field(default=None, min_length=1, examples=[["llama-3.3-70b"]])
    """What it may ask for; every model where they are left out."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """Places or single regions in which its requests may be processed, besides what the stack and the model say."""
    priority: Literal["high", "normal"] = "normal"
    """Who is served first when there is too much for all."""
    concurrent_requests: Requests | None = None
    """How many may be under way at a time."""
    body_limit: Bytes | None = None
    """The largest request body; at most the engine's."""
    per_model: dict[ModelName, Rate] = Field(
        default={}, examples=[{"llama-3.3-70b": {"requestsPerMinute": 60, "tokensPerMinute": "20k"}}]
    )
    """Per model how much of it in a minute, within what the tenant may have of all."""


class Issuer(Strict):
    """Who may vouch for tenants: an issuer of JSON Web Tokens, as OpenID Connect has them."""

    issuer: Annotated[Text, Field(examples=["https://login.example.com/"])]
    """To the letter what its tokens say in `iss`."""
    audiences: Annotated[list[Text], Field(min_length=1, examples=[["corral"]])]
    """A token must name one of them in `aud`."""
    jwks: Annotated[str, AfterValidator(_keys_url)] | None = Field(
        default=None, examples=["https://login.example.com/keys"]
    )
    """The URL of its public keys, the `jwks_uri` of its `/.well-known/openid-configuration`."""
    jwks_file: Text | None = None
    """A file with these keys instead, relative to the stack file."""
    claim: Text = "sub"
    """The claim whose value names the tenant; `realm.team` is `team` within `realm`."""
