from __future__ import annotations

import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import yaml

from corral.cluster import clusters
from corral.cluster.kubeconfig import UnusableClusterError, check_reachable
from corral.config.cluster import KubeconfigCluster
from corral.config.stack import Stack


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the home folder of the user database in it, `database`, and that of HOME, `variable`."""
    for name in ("database", "variable"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(tmp_path / "database")))
    monkeypatch.setenv("HOME", str(tmp_path / "variable"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path


@pytest.fixture
def port() -> Iterator[int]:
    """One at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def content(port: int, **cluster: str) -> dict[str, Any]:
    return {
        "current-context": "kind-corral",
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "me"}} for name in ("kind-corral", "kind-other")
        ],
        "clusters": [{"name": "kind-corral", "cluster": {"server": f"https://127.0.0.1:{port}", **cluster}}],
        "users": [{"name": "me", "user": {"token": "sk-NEVER"}}],
    }


def write(file: Path, what: dict[str, Any] | str) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(what if isinstance(what, str) else yaml.safe_dump(what))


def problem(kubeconfig: str, context: str | None = None) -> str:
    with pytest.raises(UnusableClusterError) as raised:
        check_reachable(KubeconfigCluster(kubeconfig=kubeconfig, context=context))
    return str(raised.value)


@pytest.mark.parametrize("context", [None, "kind-corral"], ids=["the current context", "a named one"])
def test_a_cluster_that_answers_is_usable(homes: Path, port: int, context: str | None):
    write(homes / "database/.kube/config", content(port))
    check_reachable(KubeconfigCluster(kubeconfig="~/.kube/config", context=context))


def test_a_relative_path_starts_in_the_folder_of_the_program(homes: Path, port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(homes)
    write(homes / "kind.yaml", content(port))
    check_reachable(KubeconfigCluster(kubeconfig="kind.yaml"))


def test_a_kubeconfig_that_is_not_there(homes: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(homes)
    assert problem("kind.yaml") == (
        f"there is no kubeconfig {homes}/kind.yaml: put it there, or name another file as corral:cluster.kubeconfig"
    )


def test_a_kubeconfig_that_is_only_where_home_points(homes: Path):
    write(homes / "variable/.kube/config", "{}")
    assert problem("~/.kube/config") == (
        f"there is no kubeconfig {homes}/database/.kube/config, and one where HOME points: `~` is the home folder of "
        "the user database, so that it is the same for all who run this stack. Link it: "
        f"mkdir -p {homes}/database/.kube && ln -s {homes}/variable/.kube/config {homes}/database/.kube/config"
    )


def test_the_way_out_for_another_home_works(homes: Path, port: int):
    write(homes / "variable/.kube/config", content(port))
    command = problem("~/.kube/config").rpartition("Link it: ")[2].split()
    assert command[:2] + command[3:6] == ["mkdir", "-p", "&&", "ln", "-s"]
    Path(command[2]).mkdir(parents=True)
    Path(command[7]).symlink_to(command[6])
    check_reachable(KubeconfigCluster(kubeconfig="~/.kube/config"))


def test_a_user_whom_the_database_does_not_have_is_at_home_where_home_points(
    homes: Path, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    write(homes / "variable/.kube/config", content(port))
    check_reachable(KubeconfigCluster(kubeconfig="~/.kube/config"))


def test_a_kubeconfig_that_cannot_be_read(homes: Path):
    (homes / "database/.kube/config").mkdir(parents=True)
    assert problem("~/.kube/config") == (
        f"the kubeconfig {homes}/database/.kube/config cannot be read (Is a directory): make it a file that this user "
        "can read"
    )


@pytest.mark.parametrize("text", ["", "contexts: [", "- sk-NEVER", "contexts: kind-corral"])
def test_a_file_that_is_no_kubeconfig(homes: Path, text: str):
    write(homes / "config", text)
    assert problem(f"{homes}/config") == (
        f"{homes}/config is no kubeconfig, as it has no `contexts`: write it anew with the tool that made the cluster, "
        "or name another file as corral:cluster.kubeconfig"
    )


def test_a_context_that_is_not_in_it(homes: Path, port: int):
    write(homes / "config", content(port))
    assert problem(f"{homes}/config", "kind-coral") == (
        f"{homes}/config has no context kind-coral: did you mean kind-corral? Valid are kind-corral, kind-other"
    )


def test_no_context_at_all(homes: Path, port: int):
    write(homes / "config", content(port) | {"current-context": ""})
    assert problem(f"{homes}/config") == (
        f"{homes}/config has no current context: name one as corral:cluster.context, kind-corral or kind-other"
    )


def test_a_context_without_its_cluster(homes: Path, port: int):
    write(homes / "config", content(port))
    assert problem(f"{homes}/config", "kind-other") == (
        f"{homes}/config: the cluster of the context kind-other has no URL: write the file anew with the tool that "
        "made the cluster"
    )


def test_a_cluster_that_does_not_answer(homes: Path):
    port = closed_port()
    write(homes / "config", content(port))
    assert problem(f"{homes}/config") == (
        f"the cluster does not answer at https://127.0.0.1:{port}, which {homes}/config names: Connection refused. "
        "Nothing was touched. Is it up, and can it be reached from here, as through a VPN?"
    )


def test_a_cluster_behind_a_proxy_is_left_to_the_provider(homes: Path, monkeypatch: pytest.MonkeyPatch):
    write(homes / "config", content(closed_port(), **{"proxy-url": "http://proxy.example.com:3128"}))
    check_reachable(KubeconfigCluster(kubeconfig=f"{homes}/config"))
    write(homes / "config", content(closed_port()))
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    check_reachable(KubeconfigCluster(kubeconfig=f"{homes}/config"))


def test_a_stack_whose_cluster_cannot_be_asked_is_refused_before_anything_is_made(
    homes: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clusters, "on_mocks", lambda: False)
    stack = Stack.model_validate(
        {
            "name": "kind",
            "cluster": {"kubeconfig": f"{homes}/none"},
            "hosts": {"bedrock": {"kind": "bedrock"}},
            "models": {"llama-3.3-70b": {"shares": {"bedrock": 100}}},
        }
    )
    with pytest.raises(pulumi.RunError, match="there is no kubeconfig"):
        clusters.open_cluster(stack, {})
