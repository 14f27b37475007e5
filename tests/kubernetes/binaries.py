"""etcd and kube-apiserver, built once from their Go modules and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.36.3"
ETCD = "3.6.8"
"""The one that this Kubernetes names in its own go.mod."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corral" / f"kubernetes-{KUBERNETES}"
_SERVER = f"k8s.io/kubernetes@v{KUBERNETES}"
_PACKAGES = ("go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver")


class UnavailableError(Exception):
    """There are no binaries; says why and the way out."""


@dataclass(frozen=True)
class Binaries:
    etcd: Path
    apiserver: Path


def binaries() -> Binaries:
    """Those of the cache; builds them first, in some minutes, where `CORRAL_APISERVER=build` asks for it."""
    built = Binaries(_CACHE / "etcd", _CACHE / "kube-apiserver")
    if built.etcd.exists() and built.apiserver.exists():
        return built
    if os.environ.get("CORRAL_APISERVER") != "build":
        raise UnavailableError(
            f"no Kubernetes API server in {_CACHE}: CORRAL_APISERVER=build builds it in some minutes"
        )
    if shutil.which("go") is None:
        raise UnavailableError("a Kubernetes API server is built with Go, and there is no go on PATH")
    try:
        _build(built)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(
            f"the Kubernetes API server could not be built: {error.stderr.strip()[-2000:]}"
        ) from None
    return built


def _build(into: Binaries) -> None:
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder)
        (module / "go.mod").write_text(f"module corral.test/kubernetes\n\ngo {_go_version(module)}\n")
        downloaded = json.loads(_go(module, "mod", "download", "-json", _SERVER))
        staged = _staged(module, Path(downloaded["GoMod"]))
        edits = [f"-replace={name}={name}@v0.{KUBERNETES.removeprefix('1.')}" for name in staged]
        edits += [f"-require={_SERVER}", f"-require=go.etcd.io/etcd/server/v3@v{ETCD}"]
        _go(module, "mod", "edit", *edits)
        _go(module, "build", "-mod=mod", "-o", f"{folder}/", *_PACKAGES)
        into.etcd.parent.mkdir(parents=True, exist_ok=True)
        for built, kept in (("server", into.etcd), ("kube-apiserver", into.apiserver)):
            partial = kept.with_suffix(".partial")
            shutil.move(module / built, partial)
            partial.replace(kept)


def _go_version(folder: Path) -> str:
    return _go(folder, "env", "GOVERSION").strip().removeprefix("go")


def _staged(folder: Path, go_mod: Path) -> list[str]:
    """The modules that live in Kubernetes' own repository, which a build from the registry takes from the registry."""
    replaced = json.loads(_go(folder, "mod", "edit", "-json", str(go_mod)))["Replace"]
    return [each["Old"]["Path"] for each in replaced if each["New"]["Path"].startswith("./staging/")]


def _go(folder: Path, *arguments: str) -> str:
    command = ["nice", "go", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
