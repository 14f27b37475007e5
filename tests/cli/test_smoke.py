"""`corral smoke` of a stack on a cluster, whose outputs a stand-in for Pulumi tells."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import Corral

pytestmark = pytest.mark.process

STACK = """\
config:
  corral:engine: {kind: kubernetes}
  corral:cluster: {kubeconfig: ~/.kube/config}
  corral:hosts:
    deepinfra: {}
    groq: {models: {llama-3.3-70b: llama-3.3-70b-versatile}}
  corral:models:
    llama-3.3-70b: {shares: {deepinfra: 90, groq: 10}}
  corral:tenants: {search: {}}
"""

PULUMI = """\
#!/bin/sh
[ "$*" = "stack output --json --show-secrets --non-interactive --stack prod" ] || exit 9
cat "$(dirname "$0")/outputs.json"
"""


class Gateway(BaseHTTPRequestHandler):
    """Lets groq answer each tenth request."""

    number = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        type(self).number += 1
        self.send_response(200 if self.headers["authorization"] == "Bearer sk-NEVER-search" else 401)
        self.send_header("x-corral-host", "deepinfra" if self.number % 10 else "groq")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


AUTHORITY = trustme.CA()
CA = AUTHORITY.cert_pem.bytes().decode()


@pytest.fixture
def url() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        yield f"https://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture
def pulumi(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in for Pulumi, which tells what is in `outputs.json` there."""
    (project / "stacks" / "Pulumi.prod.yaml").write_text(STACK)
    folder = project / "bin"
    folder.mkdir()
    (folder / "pulumi").write_text(PULUMI)
    (folder / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def test_a_stack_on_a_cluster_is_asked_with_the_keys_the_address_and_the_authority_of_its_outputs(
    corral: Corral, pulumi: Path, url: str
) -> None:
    (pulumi / "outputs.json").write_text(json.dumps({"url": url, "keys": {"search": "sk-NEVER-search"}, "ca": CA}))
    said = corral("smoke", "--stack", "prod")
    rows = [line.split(maxsplit=4)[1:] for line in said.out.splitlines()[1:]]
    assert rows == [
        ["deepinfra", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "allowed", "it answers"],
        ["groq", "llama-3.3-70b-versatile", "allowed", "it answers"],
    ]
    assert (said.status, said.err) == (0, "")
    assert "NEVER" not in said.out


def test_one_request_that_fails_is_an_exit_status(
    corral: Corral, pulumi: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = pulumi / "ca.crt"
    ca.write_text(CA)
    monkeypatch.setenv("KEY", "sk-NEVER-another")
    said = corral("smoke", "--stack", "prod", "--url", url, "--key-variable", "KEY", "--ca", str(ca), "--json")
    why = {each["host"]: each["why"] for each in json.loads(said.out)}
    assert (said.status, "HTTP 401 to one of 1 request" in why.values()) == (1, True)
    assert "NEVER" not in said.out + said.err


def test_a_stack_that_pulumi_does_not_know_is_told_with_the_way_out(corral: Corral, pulumi: Path) -> None:
    (pulumi / "pulumi").write_text("#!/bin/sh\necho 'error: no stack named prod found' >&2; exit 255\n")
    said = corral("smoke", "--stack", "prod")
    why = "pulumi has no outputs of stack prod (no stack named prod found)"
    assert said == (1, "", f"{why}: name the gateway yourself: --url and --key-variable.\n")


def test_a_stack_that_is_not_up_is_told_so(corral: Corral, pulumi: Path) -> None:
    (pulumi / "outputs.json").write_text("{}")
    said = corral("smoke", "--stack", "prod")
    assert said.err == "Stack prod has no url among its outputs: run pulumi up -s prod first.\n"
