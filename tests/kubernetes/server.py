"""A bare Kubernetes API server on loopback: no nodes, no controllers, everything allowed to whoever has the token."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_READY = 60
"""Seconds; three when nothing else runs."""


class RefusedError(Exception):
    """The API server did not take an object; says why in its own words."""


class Server:
    """Applies objects as Pulumi does: server-side, and here with unknown fields refused."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._plurals: dict[tuple[str, str], str] = {}

    def define(self, definition: dict[str, Any]) -> None:
        """Applies a custom resource definition and waits until its objects are taken."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self._apply(f"{path}/{definition['metadata']['name']}", definition)
        _until(lambda: self._established(f"{path}/{definition['metadata']['name']}"))
        for version in definition["spec"]["versions"]:
            names = definition["spec"]["names"]
            self._plurals[f"{definition['spec']['group']}/{version['name']}", names["kind"]] = names["plural"]

    def defines(self, manifest: dict[str, Any]) -> bool:
        return (manifest["apiVersion"], manifest["kind"]) in self._plurals

    def namespace(self, name: str, **labels: str) -> None:
        metadata = {"name": name, "labels": labels}
        self._apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def admit(self, namespace: str, spec: dict[str, Any]) -> None:
        """Whether a pod would be taken there.  Raises `RefusedError`."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}, "spec": spec}
        _checked(self._client.post(f"/api/v1/namespaces/{namespace}/pods", params={"dryRun": "All"}, json=pod))

    def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The object as it is then.  Raises `RefusedError`."""
        return self._apply(self._path(manifest), manifest)

    def set_status(self, manifest: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """What a controller says of an object; the object as it is then."""
        path = f"{self._path(manifest)}/status"
        content = json.dumps({"status": status})
        headers = {"content-type": "application/merge-patch+json"}
        return _checked(
            self._client.patch(path, content=content, headers=headers, params={"fieldManager": "controller"})
        )

    def _path(self, manifest: dict[str, Any]) -> str:
        metadata = manifest["metadata"]
        within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        plural = self._plurals[manifest["apiVersion"], manifest["kind"]]
        return f"/apis/{manifest['apiVersion']}{within}/{plural}/{metadata['name']}"

    def _apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]:
        how = {"fieldManager": "pulumi", "force": "true", "fieldValidation": "Strict"}
        headers = {"content-type": "application/apply-patch+yaml"}
        return _checked(self._client.patch(path, content=json.dumps(manifest), headers=headers, params=how))

    def _established(self, path: str) -> bool:
        conditions = self._client.get(path).json().get("status", {}).get("conditions") or []
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise RefusedError(answer.json().get("message", answer.text))
    return answer.json()


def _until(met: Any) -> None:
    end = time.monotonic() + _READY
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {_READY} s")
        time.sleep(0.05)


@contextlib.contextmanager
def running(programs: Path, folder: Path) -> Iterator[Server]:
    """An API server that is ready, with an etcd of its own, from that folder of programs; both end with the block."""
    etcd_client, etcd_peer, port = _free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},tester,tester,system:masters\n")
    (folder / "account.key").write_bytes(_private_key())
    with contextlib.ExitStack() as stack:
        _started(
            stack,
            folder / "etcd.log",
            str(programs / "etcd"),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd_client}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd_client}",
            f"--listen-peer-urls=http://127.0.0.1:{etcd_peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{etcd_peer}",
            f"--initial-cluster=default=http://127.0.0.1:{etcd_peer}",
            "--unsafe-no-fsync",
        )
        _started(
            stack,
            folder / "apiserver.log",
            str(programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd_client}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://127.0.0.1",
            f"--service-account-key-file={folder / 'account.key'}",
            f"--service-account-signing-key-file={folder / 'account.key'}",
            "--disable-admission-plugins=ServiceAccount",
        )
        certificate = folder / "certificates" / "apiserver.crt"
        _until(certificate.exists)
        trusted = ssl.create_default_context(cafile=str(certificate))
        headers = {"authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=f"https://127.0.0.1:{port}", headers=headers, verify=trusted, timeout=30)
        stack.enter_context(client)
        _until(lambda: _is_ready(client))
        yield Server(client)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def _started(stack: contextlib.ExitStack, log: Path, *command: str) -> None:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(command, stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.kill)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _private_key() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
