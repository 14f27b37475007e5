"""What a probe says of a host: refused, allowed or unknown.

Only refused stops anything; unknown is always told, with why.

Asking a host over HTTP, as every probe does it.

Policy.  A host is asked twice at most: again after no connection, no answer in time, 429 or 5xx.  Redirects are not
followed, so that a key goes nowhere else.  What is said of a failure holds no header, no body and no whole URL: any of
them may carry the key.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import httpx

from corral.plan.plan import Target

Outcome = Literal["refused", "allowed", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What became of one model id at one host."""

    model: str
    """The name clients ask for."""
    host: str
    model_id: str
    outcome: Outcome
    why: str
    """In words, the way out included; never holds a credential."""


@dataclass(frozen=True)
class Question:
    """Does this target's host serve this target's model id?"""

    model: str
    target: Target

    def answered(self, outcome: Outcome, why: str) -> Verdict:
        """The verdict on it."""
        return Verdict(self.model, self.target.host, self.target.model_id, outcome, why)


class HostError(Exception):
    """What a probe found holds for everything it was to ask of the host: `refused` or `unknown`, with why."""

    def __init__(self, outcome: Literal["refused", "unknown"], why: str) -> None:
        super().__init__(why)
        self.outcome: Literal["refused", "unknown"] = outcome
        self.why = why


ATTEMPTS = 2
PAUSE = 0.5
"""Seconds between two attempts."""


def get(client: httpx.Client, url: str, headers: Mapping[str, str]) -> httpx.Response:
    """The host's answer, whatever its status but those below.

    Raises HostError: refused for 401 and 403, unknown where there is no answer, for 429 and for 5xx.
    """
    why = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            response = client.get(url, headers=headers)
        except httpx.InvalidURL:
            raise HostError("unknown", "its URL is none that can be called: correct it in the stack") from None
        except httpx.TimeoutException:
            why = "it does not answer in time"
        except httpx.HTTPError as error:
            why = _unreachable(error)
        else:
            match response.status_code:
                case 401:
                    raise HostError("refused", "it refuses the key (HTTP 401): give it a valid one")
                case 403:
                    raise HostError(
                        "refused", "it refuses this key, or this network (HTTP 403): check what both may do"
                    )
                case 429 | 500 | 501 | 502 | 503 | 504:
                    why = f"it answers HTTP {response.status_code}: try again later"
                case _:
                    return response
    raise HostError("unknown", why)


def content(response: httpx.Response) -> object:
    """The JSON of an answer.  Raises HostError, unknown, for any status but 200 and for what is not JSON."""
    if response.status_code != 200:
        raise HostError("unknown", f"it answers HTTP {response.status_code} to {response.request.url.path}")
    try:
        return response.json()
    except ValueError:
        raise unexpected(response) from None


def unexpected(response: httpx.Response) -> HostError:
    """Unknown: the answer has not the shape it should have."""
    return HostError("unknown", f"it answers {response.request.url.path} with something else than a list of models")


def _unreachable(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its TLS certificate is not trusted: name the file of its CA in the host's `ca`"
        cause = cause.__cause__ or cause.__context__
    return f"it cannot be reached ({type(error).__name__})"
