"""What a probe tells of a host's models, and how a host is asked over HTTP, as every probe does it.

Policy.  A verdict is refused, allowed or unknown; only refused stops anything, and unknown always says why.  A host is
asked twice at most: again after no connection, no answer in time, 429 or 5xx.  Redirects are not followed, so that a
key goes nowhere else.  A reason holds no header, no body and no whole URL, since any of them may carry the key; of a
host that cannot be reached it names the host and the port, and what to look at.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

import httpx

Outcome = Literal["refused", "allowed", "unknown"]

_Arguments = ParamSpec("_Arguments")

Judgement = tuple[Outcome, str]
"""What a probe tells of one model id: the outcome, and why in words, the way out included; never a credential."""


@dataclass(frozen=True)
class Verdict:
    """What became of one model id at one host."""

    model: str
    """The name clients ask for."""
    host: str
    model_id: str
    outcome: Outcome
    why: str


@dataclass(frozen=True)
class Precondition:
    """Whether something is there that a deployment needs."""

    part: str
    """A host's name, or `AWS`, `Azure`, `cluster`, `gateway`."""
    subject: str
    """What it needs."""
    outcome: Outcome
    why: str

    @classmethod
    def of(
        cls,
        part: str,
        subject: str,
        judge: Callable[_Arguments, Judgement],
        *arguments: _Arguments.args,
        **more: _Arguments.kwargs,
    ) -> Precondition:
        """By the judgement that is returned, or raised as HostError."""
        try:
            return cls(part, subject, *judge(*arguments, **more))
        except HostError as error:
            return cls(part, subject, *error.judgement)


class HostError(Exception):
    """What a probe found holds for everything it was to ask of the host: `refused` or `unknown`, with why."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.judgement: Judgement = (outcome, why)


ATTEMPTS = 2
PAUSE_SECONDS = 0.5
"""Between two attempts."""


def get(client: httpx.Client, url: httpx.URL | str) -> httpx.Response:
    """The host's answer, whatever its status but those below; a path is taken below the client's base URL.

    Raises HostError: refused for 401 and 403, unknown where there is no answer, for 429 and for 5xx.
    """
    response = answer(client, url)
    match response.status_code:
        case 401:
            raise HostError("refused", "it refuses the key (HTTP 401): give it a valid one")
        case 403:
            raise HostError("refused", "it refuses this key, or this network (HTTP 403): check what both may do")
        case _:
            return response


def answer(client: httpx.Client, url: httpx.URL | str, method: str = "GET") -> httpx.Response:
    """Likewise, refusals included.  Raises HostError, unknown, where there is no answer, for 429 and for 5xx."""
    why = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            response = client.request(method, url)
        except httpx.HTTPError as error:
            why = _unreachable(error, client.base_url)
        else:
            if response.status_code not in (429, 500, 501, 502, 503, 504):
                return response
            why = f"it answers HTTP {response.status_code}: try again later"
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


_CERTIFICATE_EXPIRED = 10
_CERTIFICATE_OF_ANOTHER_NAME = (62, 64)
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH."""


def _unreachable(error: httpx.HTTPError, url: httpx.URL) -> str:
    """Why there is no answer, by the cause that the operating system or TLS gave."""
    place = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection to {place} in time: see whether a firewall drops it, or the host is down"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time: see whether it is overloaded, or try again later"
    if certificate := _cause(error, ssl.SSLCertVerificationError):
        return _untrusted(certificate, url.host)
    if _cause(error, ssl.SSLError):
        return f"it does not speak TLS at {place}: correct the port, or write http:// in the host's `url`"
    if _cause(error, socket.gaierror):
        return f"there is no such name as {url.host} in DNS: correct the host's `url`, or see whether DNS works here"
    if _cause(error, ConnectionRefusedError):
        return f"nothing listens at {place} (connection refused): start the host, or correct the port in its `url`"
    if (cause := _cause(error, OSError)) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"there is no route to {place}: see whether this machine's network, or a VPN, is up"
    return f"it cannot be reached ({type(error).__name__})"


def _untrusted(certificate: ssl.SSLCertVerificationError, host: str) -> str:
    code = getattr(certificate, "verify_code", 0)
    if code == _CERTIFICATE_EXPIRED:
        return "its TLS certificate has expired: have it renewed"
    if code in _CERTIFICATE_OF_ANOTHER_NAME:
        return f"its TLS certificate is not for {host}: correct the host's `url`, or have that name certified"
    return "its TLS certificate is not trusted: name the file of its CA in the host's `ca`"


_Error = TypeVar("_Error", bound=BaseException)


def _cause(error: BaseException, kind: type[_Error]) -> _Error | None:
    """The nearest error of this kind among what led to this one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause
