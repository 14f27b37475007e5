"""Lines of a log, as Envoy writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corral.local.state_folder import StateFolder

LINE: dict[str, Any] = {
    "time": "2026-11-21T14:00:00.123Z",
    "id": "0b7c6d0e-8f0e-4b38-9d5e-0d5a4a5f7a11",
    "tenant": "search",
    "model": "llama-3.3-70b",
    "host": "bedrock",
    "host_model": "us.meta.llama3-3-70b-instruct-v1:0",
    "path": "/v1/chat/completions",
    "method": "POST",
    "stream": False,
    "status": 200,
    "input_tokens": 10,
    "output_tokens": 20,
    "estimated": False,
    "first_byte_ms": 120,
    "duration_ms": 800,
    "attempts": 1,
    "flags": "-",
    "limit": None,
}


def line(**other: Any) -> str:
    """One line; `other` are the fields that differ."""
    return json.dumps({**LINE, **other}) + "\n"


def log(folder: Path, **files: str) -> StateFolder:
    """The log of stack `local` of a project: files by their name without `.jsonl`."""
    of_stack = StateFolder.of(folder, "local")
    of_stack.make()
    for name, text in files.items():
        (of_stack.requests / f"{name}.jsonl").write_text(text)
    return of_stack
