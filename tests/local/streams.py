"""Streams that are under way for a while."""

from __future__ import annotations

from typing import Any

from tests.local.gateway import Gateway


def slow_streams(gateway: Gateway, number: int) -> list[Any]:
    """Opens streams that take a second and a half, and reads the first chunk of each."""
    with gateway.control() as control:
        for host in ("groq", "deepinfra"):
            control.set_speed(host, tokens_per_second=20)
    opened: list[Any] = []
    for _ in range(number):
        chunks = iter(
            gateway.client().chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x " * 20}], stream=True
            )
        )
        next(chunks)
        opened.append(chunks)
    return opened


def is_whole(chunks: Any) -> bool:
    return [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
