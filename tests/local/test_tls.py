"""The gateway speaks TLS with a certificate from files, and takes a renewed one without a restart."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme

from tests.local.gateway import TWO_HOSTS, Gateway, processes, serving, until

FILES = {"certFile": "server.crt", "keyFile": "server.key"}
STACK: dict[str, Any] = {**TWO_HOSTS, "corral:engine": {"simulate": "always", "certificate": FILES}}
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def issue(authority: trustme.CA, folder: Path, *, key_of: trustme.CA | None = None) -> None:
    """Puts a new certificate into the folder; its key is another one's with `key_of`."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = authority.issue_cert("127.0.0.1")
    key = (key_of.issue_cert("127.0.0.1") if key_of else certificate).private_key_pem
    (folder / "server.crt").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    (folder / "server.key").write_bytes(key.bytes())


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serial(gateway: Gateway, authority: trustme.CA) -> Any:
    """That of the certificate which a new connection is shown; None if it is another authority's."""
    port = httpx.URL(gateway.url).port
    try:
        with (
            socket.create_connection(("127.0.0.1", port or 443), timeout=30) as plain,
            trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            return (connection.getpeercert() or {})["serialNumber"]
    except ssl.SSLCertVerificationError:
        return None


def test_clients_speak_tls_and_a_renewed_certificate_is_shown_without_a_restart(project: Path, machine: Path):
    authority, other = trustme.CA(), trustme.CA()
    issue(authority, project / "stacks")
    (project / "stacks").rename(project / "tls")
    with serving(project, {**STACK, "corral:engine": {**STACK["corral:engine"], "certificate": moved()}}) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        before, envoy = serial(gateway, authority), envoy_of(gateway)
        with httpx.Client(verify=trusting(authority), timeout=60) as client:
            assert client.post(f"{gateway.url}/chat/completions", json=BODY).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.post(f"{gateway.url}/chat/completions", json=BODY, verify=trusting(other), timeout=60)

        issue(authority, project / "tls", key_of=authority)
        until(lambda: "the key is another certificate's" in gateway.said(), "the misfit is reported")
        assert serial(gateway, authority) == before

        issue(other, project / "tls")
        until(lambda: serial(gateway, other), "the renewed certificate is shown")
        assert serial(gateway, authority) is None
        assert envoy_of(gateway) == envoy
        root = Path(gateway.running.admin_socket).parent
        assert (root / "secrets" / "certificate.json").stat().st_mode & 0o777 == 0o600
        assert "PRIVATE KEY" not in gateway.admin("/config_dump") + gateway.said()
    assert processes(machine) == []


def moved() -> dict[str, str]:
    """The files, relative to the stack file."""
    return {name: f"../tls/{file}" for name, file in FILES.items()}


def envoy_of(gateway: Gateway) -> list[int]:
    assert gateway.process
    children = psutil.Process(gateway.process.pid).children()
    return [child.pid for child in children if "--config-path" in child.cmdline()]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "server.key").unlink(),
            "certificate.keyFile names {key}, which cannot be read: No such",
        ),
        (lambda folder: (folder / "server.crt").write_text("hello"), "do not go together: they cannot be read as PEM."),
        (
            lambda folder: issue(trustme.CA(), folder, key_of=trustme.CA()),
            "server.crt and server.key do not go together: the key is another certificate's.",
        ),
    ],
    ids=["no key", "no PEM", "another key"],
)
def test_a_certificate_that_cannot_be_served_with_is_refused_before_anything_starts(
    project: Path, machine: Path, spoil: Any, message: str
):
    gateway = Gateway(project, "test")
    issue(trustme.CA(), project / "stacks")
    spoil(project / "stacks")
    gateway.save(STACK)
    ended = gateway.run("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert message.format(key="stacks/server.key") in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (processes(machine), list(machine.iterdir())) == ([], [])
