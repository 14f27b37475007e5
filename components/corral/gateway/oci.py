"""A client that pulls one chart from an OCI registry: manifest, archive, and a token where the registry wants one.

As in the distribution specification 1.1 (opencontainers/distribution-spec) and Docker's token authentication.  The
archive is what the manifest says it is, to the digest; whether that is what was meant is for the caller to know.
Passwords are what `docker login` has kept, and go to the registry and to the server of tokens that it names, by https.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
from collections.abc import Generator, Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import httpx

from corral.config.registry import DOCKER_HUB

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_SERVERS = {DOCKER_HUB: "registry-1.docker.io"}
"""Registries that are served under another name than their own."""
_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"
"""The name under which `docker login` keeps the password of Docker Hub."""
_MAX_BYTES = 32 * 2**20
"""The largest archive; the charts here have less than one MiB."""
_TIMEOUT_SECONDS = 30
"""Of silence."""


class RegistryError(Exception):
    """The registry does not give it; the message says why."""


def pull_chart(registry: str, path: str, version: str, ca: Path | None, login: str | None) -> bytes:
    """The archive of a chart.  Raises RegistryError.

    `ca`: certificates that are trusted beside the system's; `login`: `user:password`, in place of `docker login`.
    """
    base = f"https://{_SERVERS.get(registry, registry)}/v2/{path}"
    try:
        with _client(ca, _Challenged(login or _kept_login(registry))) as client:
            manifest = json.loads(_get(client, f"{base}/manifests/{version}", accept=_MANIFEST))
            digest = next(layer["digest"] for layer in manifest["layers"] if layer["mediaType"] == _CHART)
            archive = _get(client, f"{base}/blobs/{digest}")
    except OSError as error:  # the file of certificates
        raise RegistryError(f"{ca}: {error.strerror or error}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RegistryError(str(error) or type(error).__name__) from None
    except (ValueError, KeyError, TypeError, StopIteration):
        raise RegistryError("what is there is no chart") from None
    if (actual := f"sha256:{sha256(archive).hexdigest()}") != digest:
        raise RegistryError(f"it arrived as {actual}, and its manifest has {digest}")
    return archive


def download(url: str) -> bytes:
    """The archive of a chart that is in no registry.  Raises RegistryError."""
    try:
        with _client(None) as client:
            return _get(client, url)
    except httpx.HTTPError as error:
        raise RegistryError(str(error) or type(error).__name__) from None


def _client(ca: Path | None, auth: httpx.Auth | None = None) -> httpx.Client:
    trusted = ssl.create_default_context()
    if ca is not None:
        trusted.load_verify_locations(ca)
    return httpx.Client(
        auth=auth,
        verify=trusted,
        headers={"accept-encoding": "identity"},
        follow_redirects=True,
        timeout=_TIMEOUT_SECONDS,
    )


def _get(client: httpx.Client, url: str, **headers: str) -> bytes:
    with client.stream("GET", url, headers=headers) as response:
        if response.is_error:
            raise RegistryError(f"{response.url.host} answers {response.status_code} {response.reason_phrase}".strip())
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _MAX_BYTES:
                raise RegistryError(f"it is larger than {_MAX_BYTES // 2**20} MiB")
        return bytes(content)


class _Challenged(httpx.Auth):
    """Answers the challenge of a registry (`WWW-Authenticate`), and remembers the answer."""

    def __init__(self, login: str | None) -> None:
        self._basic = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
        self._authorization: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._authorization:
            request.headers["authorization"] = self._authorization
        response = yield request
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return
        scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        self._authorization = self._basic
        if scheme.lower() == "bearer":
            challenge = parse_keqv_list(parse_http_list(rest))
            answer = yield self._for_token(challenge)
            answer.read()
            if answer.is_error:
                raise RegistryError(f"{answer.url.host} gives no token: {answer.status_code} {answer.reason_phrase}")
            token: dict[str, Any] = answer.json()
            self._authorization = f"Bearer {token.get('token') or token['access_token']}"
        if self._authorization:
            request.headers["authorization"] = self._authorization
            yield request

    def _for_token(self, challenge: Mapping[str, str]) -> httpx.Request:
        realm = challenge["realm"]
        if not realm.startswith("https://"):
            raise RegistryError(f"it sends for a token to {realm}, without TLS")
        parameters = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        headers = {"authorization": self._basic} if self._basic else {}
        return httpx.Request("GET", realm, params=parameters, headers=headers)


def _kept_login(registry: str) -> str | None:
    """What `docker login` has kept for the registry, in its file or with a helper; `user:password`."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        kept: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        name = _DOCKER_HUB_LOGIN if registry == DOCKER_HUB else registry
        if helper := kept.get("credHelpers", {}).get(registry) or kept.get("credsStore"):
            done = subprocess.run(
                [f"docker-credential-{helper}", "get"], input=name, capture_output=True, text=True, check=False
            )
            entry: dict[str, str] = json.loads(done.stdout)
            return f"{entry['Username']}:{entry['Secret']}"
        auths: dict[str, dict[str, str]] = kept.get("auths", {})
        entry = auths.get(name) or auths.get(f"https://{name}") or {}
        return base64.b64decode(entry["auth"]).decode()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
