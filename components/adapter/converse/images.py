"""Images in a message: Converse takes their bytes, and reads no address but S3's.

So an image comes as a `data:` URL.  One behind an http address is refused: the adapter fetches nothing that a caller
names, which would let callers reach what only this machine can.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from components.adapter.errors import refused

_DATA = re.compile(r"data:image/(?P<format>[a-z+.-]+);base64,(?P<bytes>.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}


def image(url: str, param: str) -> dict[str, Any]:
    """The image as a block of content; `param` is where it stands.  Raises ChatError."""
    found = _DATA.fullmatch(url)
    if found is None:
        raise refused(param, "must be a data: URL (data:image/png;base64,...): this host fetches no image itself")
    name = _FORMATS.get(found["format"].lower())
    if name is None:
        raise refused(param, f"is of a format that this host does not take: send {', '.join(sorted({*_FORMATS}))}")
    try:
        content = base64.b64decode(found["bytes"], validate=True)
    except binascii.Error:
        raise refused(param, "is not base64") from None
    if not content:
        raise refused(param, "is an empty image")
    return {"image": {"format": name, "source": {"bytes": content}}}
