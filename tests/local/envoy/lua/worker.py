"""One worker of Envoy: the gateway's scripts in a LuaJIT as Envoy has it, on handles that stand in for Envoy's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lupa.luajit21 import LuaRuntime

from corral.local.envoy import scripts

_HANDLE = Path(__file__).with_name("handle.lua").read_text()

NOW = 1_795_276_110_747
"""Milliseconds since 1970."""


@dataclass(frozen=True)
class Ran:
    """What a script has left behind."""

    headers: Mapping[str, str]
    metadata: Mapping[str, Any]
    body: bytes
    """Of a request, as the script left it."""
    passed: tuple[bytes, ...]
    """The pieces of an answer, as the script left them; one that it has waited for is one piece."""
    status: int | None
    """What the script itself has answered."""
    sent: Mapping[str, str]
    """The headers that it answered with."""
    answer: bytes
    rerouted: bool


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _texts(value: Any) -> dict[str, Any]:
    return {_text(key): _texts(each) if hasattr(each, "items") else _text(each) for key, each in value.items()}


class Worker:
    """Scripts of one virtual machine, and the statistics that they share."""

    def __init__(self, names: Sequence[str] = scripts.GATEWAY_SCRIPTS, functions: Iterable[str] = ()) -> None:
        self._lua: Any = LuaRuntime(encoding=None)  # pyright: ignore[reportCallIssue]
        own = (
            "run = run, stats = stats, values = values, on_request = envoy_on_request, on_response = envoy_on_response"
        )
        exported = ", ".join([own, *(f"{name} = {name}" for name in functions)])
        code = "\n".join((_HANDLE, scripts.source(*names), f"return {{ {exported} }}"))
        self._made = self._lua.execute(code.encode())

    def lua(self, value: Any) -> Any:
        """A value as Lua has it."""
        match value:
            case str():
                return value.encode()
            case Mapping():
                made = self._lua.table()
                for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]
                    made[self.lua(key)] = self.lua(each)
                return made
            case list() | tuple():
                return self._lua.table(*(self.lua(each) for each in value))  # pyright: ignore[reportUnknownVariableType]
            case _:
                return value

    def call(self, name: str, *given: Any) -> Any:
        """Calls a function of the scripts; tables come back as they are."""
        return self._made[name.encode()](*(self.lua(each) for each in given))

    @property
    def stats(self) -> Any:
        return self._made[b"stats"]

    @property
    def values(self) -> dict[str, int]:
        """The statistics."""
        return {name.decode(): int(value) for name, value in self._made[b"values"].items()}

    def count(self, name: str, value: int) -> None:
        """What somebody else has counted."""
        self._made[b"values"][name.encode()] = value

    def request(self, headers: Mapping[str, str | bytes], **of: Any) -> Ran:
        return self._run(b"on_request", headers, **of)

    def response(self, headers: Mapping[str, str | bytes], **of: Any) -> Ran:
        return self._run(b"on_response", headers, **of)

    def _run(
        self,
        script: bytes,
        headers: Mapping[str, str | bytes],
        *,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        pieces: Sequence[bytes] = (),
        now: int = NOW,
        pace: int = 0,
    ) -> Ran:
        of = self.lua(
            {
                "headers": headers,
                "context": context or {},
                "metadata": metadata or {},
                "pieces": list(pieces),
                "passed": {},
                "now": now,
                "pace": pace,
            }
        )
        self._made[b"run"](self._made[script], of)
        response = of[b"response"]
        sent = _texts(response[b"headers"]) if response else {}
        passed = of[b"passed"]
        return Ran(
            headers=_texts(of[b"headers"]),
            metadata=_texts(of[b"metadata"]),
            body=of[b"body"] or b"",
            passed=tuple(passed[at] for at in range(1, len(pieces) + 1) if passed[at] is not None),
            status=int(sent.pop(":status")) if sent else None,
            sent=sent,
            answer=response[b"body"] if response else b"",
            rerouted=bool(of[b"rerouted"]),
        )
