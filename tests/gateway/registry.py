"""An OCI registry over TLS, as much of one as a chart is pulled from: tokens, a manifest, and an archive elsewhere."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

AUTHORITY = trustme.CA()


class OciRegistry:
    """Keeps archives by path and tag; what it was asked for is in `requests`, with the credential that came."""

    def __init__(self, *, login: str | None = None, scheme: str = "") -> None:
        self.login, self.scheme = login, scheme
        self.archives: dict[tuple[str, str], bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.served_archive: bytes | None = None
        """What is served in place of any archive: it was changed on its way."""
        self.address = ""

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        self.requests.append((parts.path, authorization.partition(" ")[0]))
        basic = base64.b64encode((self.login or "").encode()).decode()
        if parts.path == "/token":
            scope = parse_qs(parts.query)["scope"][0]
            allowed = self.login is None or authorization == f"Basic {basic}"
            return (200, {}, json.dumps({"token": scope}).encode()) if allowed else (403, {}, b"")
        if parts.path.startswith("/storage/"):
            return 200, {}, self.served_archive or self._blob(parts.path.rpartition("/")[2])
        _, _, rest = parts.path.partition("/v2/")
        repository, kind, reference = rest.rsplit("/", 2)
        scope = f"repository:{repository}:pull"
        if self.scheme == "Bearer" and authorization != f"Bearer {scope}":
            challenge = f'Bearer realm="https://{self.address}/token",service="registry",scope="{scope}"'
            return 401, {"www-authenticate": challenge}, b""
        if self.scheme == "Basic" and authorization != f"Basic {basic}":
            return 401, {"www-authenticate": 'Basic realm="registry"'}, b""
        if kind == "blobs":
            return 307, {"location": f"https://localhost:{self.address.rpartition(':')[2]}/storage/{reference}"}, b""
        archive = self.archives.get((repository, reference))
        return (200, {}, self._manifest(archive)) if archive is not None else (404, {}, b"")

    def _blob(self, digest: str) -> bytes:
        return next(each for each in self.archives.values() if _digest(each) == digest)

    def _manifest(self, archive: bytes) -> bytes:
        layers = [
            {"mediaType": "application/vnd.cncf.helm.chart.provenance.v1.prov", "digest": "sha256:0"},
            {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": _digest(archive)},
        ]
        return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


@contextmanager
def served(registry: OciRegistry) -> Iterator[OciRegistry]:
    """It answers at its `address`, and keeps archives at another name."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = registry.answer(self.path, self.headers.get("authorization", ""))
            self.send_response(status)
            for name, value in (*headers.items(), ("content-length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
