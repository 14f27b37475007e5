"""`POST /embeddings`: vectors of length 1, the same for the same host, model id, input and number of dimensions."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Annotated, Literal

from pydantic import Field

from components.simulated.asked import Asked, Reply, Whole, to_json
from components.simulated.tokens import Prompt, Prompts, each, prompts_tokens

DIMENSIONS = 16
"""Of a vector, where the request does not say."""


class EmbeddingRequest(Asked):
    """Embeddings of one input or more."""

    input: Prompts
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None

    def reply(self, host: str) -> Reply:
        vectors = [vector(host, self.model, text, self.dimensions or DIMENSIONS) for text in each(self.input)]
        prompt = prompts_tokens(self.input)
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": self._encoded(numbers)}
                for index, numbers in enumerate(vectors)
            ],
            "model": self.model,
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
        }
        return Whole(to_json(answer), prompt, 0)

    def _encoded(self, numbers: list[float]) -> list[float] | str:
        if self.encoding_format != "base64":
            return numbers
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def vector(host: str, model: str, text: Prompt, dimensions: int) -> list[float]:
    """A vector of length 1 that follows from its arguments."""
    raw = hashlib.shake_256(f"{host}\n{model}\n{text}".encode()).digest(2 * dimensions)
    numbers = [number + 0.5 for number in struct.unpack(f"<{dimensions}h", raw)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]
