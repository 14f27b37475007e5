"""Requests signed with a secret: AWS Signature Version 4, checked.

Source: docs.aws.amazon.com/IAM, Create a signed AWS API request.  The time of a signature is not looked at.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from components.simulated.dialect import Request

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
