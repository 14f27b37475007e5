"""The client of the control endpoints (`server`), for the command line, the engine and the tests."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import quote

import httpx

from corral.simulated.hosts import CONTROL
from corral.simulated.simulation import FaultKind, Latest, State

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
"""All kinds of faults, in the order in which they are listed."""


class ControlError(Exception):
    """The simulated hosts did not do what they should; the message says why, and holds no secret."""


class SimulatedControl:
    """Commands the simulated hosts at `url` (`http://127.0.0.1:PORT`).  Every method raises ControlError."""

    def __init__(self, url: str, token: str, *, timeout: float = 5.0) -> None:
        self._url = url
        self._client = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=timeout, trust_env=False
        )

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def state(self) -> State:
        """Hosts, open requests and counts."""
        return State.model_validate_json(self._send("GET", "").content)

    def latest(self, after: int) -> Latest:
        """The requests that finished after the first `after` of them."""
        return Latest.model_validate_json(self._send("GET", "/latest", params={"after": after}).content)

    def set_fault(
        self,
        host: str,
        kind: FaultKind,
        *,
        seconds: float | None = None,
        model: str | None = None,
        retry_after: int | None = None,
        delay: int | None = None,
    ) -> None:
        """Makes a host fail, for `seconds` or until cleared, for one model id or all; see `simulation.Fault`."""
        fault = {"kind": kind, "for": seconds, "model": model, "retry_after": retry_after, "delay": delay}
        self._send("PUT", _path("faults", host), json={key: value for key, value in fault.items() if value is not None})

    def clear_fault(self, host: str) -> None:
        """Ends all faults of a host."""
        self._send("DELETE", _path("faults", host))

    def set_speed(self, host: str, *, latency: int = 0, tokens_per_second: int | None = None) -> None:
        """Sets milliseconds until the first byte, and tokens a second after it."""
        self._send("PUT", _path("speed", host), json={"latency": latency, "tokens_per_second": tokens_per_second})

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, CONTROL + path, **options)
        except httpx.HTTPError as error:
            raise ControlError(f"the simulated hosts at {self._url} do not answer: {error}") from None
        if not answer.is_success:
            raise ControlError(_message(answer))
        return answer


def _path(endpoint: str, host: str) -> str:
    return f"/{endpoint}/{quote(host, safe='')}"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the simulated hosts answered {answer.status_code}"
