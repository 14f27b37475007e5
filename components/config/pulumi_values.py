"""The configuration as Pulumi hands it to a program, as plain values.

Pulumi gives text: an object as JSON, a text as it is.  A key in which anything is encrypted it gives decrypted; such a
key is left to the stack file, where it is still seen to be encrypted, and refused if it is neither `corral:keys` nor
`corral:tenantKeys`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from components.config.errors import SECRET_PLACES
from components.config.stack_file import NAMESPACE, PARTS, REGION

_KEYS = (REGION, *(f"{NAMESPACE}:{part}" for part in PARTS))


def plain_values(text_of: Callable[[str], str | None], is_secret: Callable[[str], bool]) -> dict[str, Any]:
    """By full key (`corral:hosts`) all that a stack is read from, without secrets."""
    texts = {key: text_of(key) for key in _KEYS if key not in SECRET_PLACES and not is_secret(key)}
    return {key: _value(text) for key, text in texts.items() if text is not None}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
