"""The kubeconfig that a stack names, looked at before anything is made: whether the cluster can be asked at all.

The provider would find out too, later and in worse words: it takes the name of a file that is not there for the text of
a kubeconfig, and knows of an unknown context only that it "does not exist" (pulumi-kubernetes 4.34.2).

The file is found as the provider finds it.  `~/` is the home folder that the user database has, whatever HOME says, so
that what stands in the state means the same to whoever runs Pulumi; a relative path starts in the program's folder.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml

from corral.config.cluster import KubeconfigCluster
from corral.config.problems import correction, listed, named

_PORTS = {"https": 443, "http": 80}
"""Where the server's URL names no port."""

_CONNECT_SECONDS = 10
"""The longest that connecting to the API server may take."""


class UnusableClusterError(Exception):
    """The cluster cannot be asked; the message says why, and the way out."""


def check_reachable(cluster: KubeconfigCluster) -> None:
    """Reads the kubeconfig, finds the context and connects to its API server.  Raises UnusableClusterError.

    Whether the credentials are good is for the API server to say.  A server behind a proxy is not connected to: the
    provider finds its own way through it.
    """
    file = file_of(cluster)
    content = _read(file, cluster.kubeconfig)
    name = _context(content, cluster, file)
    server = _entry(content, "clusters", _entry(content, "contexts", name).get("cluster"))
    url = urlsplit(str(server.get("server")))
    if url.scheme not in _PORTS or not url.hostname:
        raise UnusableClusterError(
            f"{file}: the cluster of the context {named(name)} has no URL: write the file anew with the tool that made "
            "the cluster"
        )
    if not (server.get("proxy-url") or (url.scheme in getproxies() and not proxy_bypass(url.hostname))):
        _connect(url.hostname, url.port or _PORTS[url.scheme], f"{url.geturl()}, which {file} names")


def file_of(cluster: KubeconfigCluster) -> Path:
    """The kubeconfig, as the provider finds it."""
    return _home() / cluster.kubeconfig[2:] if cluster.kubeconfig.startswith("~/") else Path(cluster.kubeconfig)


def _home() -> Path:
    """The home folder as the user database has it; as HOME says for a user who is not in it."""
    try:
        import pwd  # not on Windows

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError):
        return Path.home()


def _read(file: Path, name: str) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableClusterError(_absent(file, name)) from None
    except OSError as error:
        raise UnusableClusterError(
            f"the kubeconfig {file} cannot be read ({error.strerror}): make it a file that this user can read"
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError):  # what it would quote of the file may be a key
        content = None
    if not isinstance(content, dict) or not isinstance(cast("dict[str, Any]", content).get("contexts"), list):
        raise UnusableClusterError(
            f"{file} is no kubeconfig, as it has no `contexts`: write it anew with the tool that made the cluster, or "
            "name another file as corral:cluster.kubeconfig"
        )
    return cast("dict[str, Any]", content)


def _absent(file: Path, name: str) -> str:
    elsewhere = Path.home() / name[2:]
    if name.startswith("~/") and elsewhere.is_file():
        return (
            f"there is no kubeconfig {file}, and one where HOME points: `~` is the home folder of the user database, "
            "so that it is the same for all who run this stack. Link it: "
            f"mkdir -p {file.parent} && ln -s {elsewhere} {file}"
        )
    return f"there is no kubeconfig {file.absolute()}: put it there, or name another file as corral:cluster.kubeconfig"


def _context(content: Mapping[str, Any], cluster: KubeconfigCluster, file: Path) -> str:
    names = [str(each.get("name")) for each in _entries(content, "contexts")]
    name = cluster.context or content.get("current-context")
    if not name:
        raise UnusableClusterError(f"{file} has no current context: name one as corral:cluster.context{_valid(names)}")
    if name not in names:
        raise UnusableClusterError(f"{file} has no context {named(str(name))}{correction(str(name), names)}")
    return str(name)


def _valid(names: Sequence[str]) -> str:
    return f", {listed(names)}" if names else ""


def _entry(content: Mapping[str, Any], part: str, name: object) -> Mapping[str, Any]:
    """What a list of the file has under that name; empty where there is nothing."""
    for each in _entries(content, part):
        if each.get("name") == name:
            return each.get(part.removesuffix("s")) or {}
    return {}


def _entries(content: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    entries: list[Any] = content.get(part) or []
    return [each for each in entries if isinstance(each, dict)]


def _connect(host: str, port: int, at: str) -> None:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UnusableClusterError(
            f"the cluster does not answer at {at}: {error.strerror or error}. Nothing was touched. Is it up, and can "
            "it be reached from here, as through a VPN?"
        ) from None
