"""Which certificates a host may show: over a real handshake, since nothing else tells."""

import json
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from corral.hosts.probing import Verdict
from corral.hosts.verify import verify
from corral.plan.plan import ModelPlan, Plan, RequestSettings, Target

AUTHORITY = trustme.CA()


class _Lists(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "Llama-3.3-70B"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off the handshake is what is tested."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a host that shows a certificate of AUTHORITY."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    with _Quiet(("127.0.0.1", 0), _Lists) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def _verify(target: Target) -> Verdict:
    plan = Plan("test", "local", (ModelPlan("m", (target,), (), None, None, None),), RequestSettings(1, 1, 1, 1, 1), ())
    (verdict,) = verify(plan, {"lab": "key"})
    return verdict


@pytest.fixture
def ca(tmp_path: Path) -> Callable[[trustme.CA], str]:
    """Writes the certificate of an authority to a file."""

    def write(authority: trustme.CA) -> str:
        file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        return str(file)

    return write


@pytest.mark.parametrize("authority", [None, trustme.CA()], ids=["the system's", "another"])
def test_a_host_whose_authority_is_not_trusted_is_unknown(
    target: Callable[..., Target], ca: Callable[[trustme.CA], str], url: str, authority: trustme.CA | None
):
    verdict = _verify(target(url=url, ca=None if authority is None else ca(authority)))
    assert (verdict.outcome, verdict.why) == (
        "unknown",
        "its TLS certificate is not trusted: name the file of its CA in the host's `ca`",
    )


def test_a_host_whose_authority_the_stack_names_is_asked(
    target: Callable[..., Target], ca: Callable[[trustme.CA], str], url: str
):
    assert _verify(target(url=url, ca=ca(AUTHORITY))).outcome == "allowed"


def test_a_certificate_for_another_name_is_told_from_one_that_is_not_trusted(
    target: Callable[..., Target], ca: Callable[[trustme.CA], str], url: str
):
    verdict = _verify(target(url=url.replace("localhost", "127.0.0.1"), ca=ca(AUTHORITY)))
    assert (verdict.outcome, verdict.why) == (
        "unknown",
        "its TLS certificate is not for 127.0.0.1: correct the host's `url`, or have that name certified",
    )
