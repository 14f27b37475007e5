"""etcd and kube-apiserver, built from their Go modules."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.built_programs import Builder, BuiltPrograms, UnavailableError

KUBERNETES = "1.36.3"
ETCD = "3.6.8"
"""The one that this Kubernetes names in its own go.mod."""

_SERVER = f"k8s.io/kubernetes@v{KUBERNETES}"
_PACKAGES = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}


def api_server() -> Path:
    """The folder with both, built where `CORRAL_APISERVER=build` asks for it.  Raises `UnavailableError`.

    It takes as long as a Pulumi engine, and a run of all tests has no time for two such builds.
    """
    if os.environ.get("CORRAL_APISERVER") != "build" and _API_SERVER.kept() is None:
        raise UnavailableError("no Kubernetes API server was built yet: CORRAL_APISERVER=build does it in some minutes")
    return _API_SERVER.folder()


def _build(module: Path, into: Path, go: Builder) -> None:
    version = go("env", "GOVERSION").strip().removeprefix("go")
    (module / "go.mod").write_text(f"module corral.test/kubernetes\n\ngo {version}\n")
    staged = _staged(Path(json.loads(go("mod", "download", "-json", _SERVER))["GoMod"]), go)
    edits = [f"-replace={name}={name}@v0.{KUBERNETES.removeprefix('1.')}" for name in staged]
    go("mod", "edit", *edits, f"-require={_SERVER}", f"-require=go.etcd.io/etcd/server/v3@v{ETCD}")
    for name, package in _PACKAGES.items():
        go("build", "-trimpath", "-ldflags", "-s -w", "-o", str(into / name), package)


def _staged(go_mod: Path, go: Builder) -> list[str]:
    """The modules that live in Kubernetes' own repository, which a build from the registry takes from the registry."""
    replaced = json.loads(go("mod", "edit", "-json", str(go_mod)))["Replace"]
    return [each["Old"]["Path"] for each in replaced if each["New"]["Path"].startswith("./staging/")]


_API_SERVER = BuiltPrograms("a Kubernetes API server", f"kubernetes-{KUBERNETES}", tuple(_PACKAGES), _build)
