"""Pulumi's engine and what it runs Python with: those on PATH, or else built from their Go modules.

python -m tests.pulumi_engine.programs     builds them; `make test` does it beside the other tests
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.built_programs import Builder, BuiltPrograms, UnavailableError

ENGINE = "3.276.0"
PYTHON_HOST = "3.68.0"
"""The last version of the SDK's module that has the host in it; the host of today is in a module that no proxy serves.
It takes the Python that is first on PATH, and runs `pulumi-language-python-exec`, which goes with the engine.
"""

_SDK = f"github.com/pulumi/pulumi/sdk/v3@v{ENGINE}"
_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_HOST, _RUNNER, _DYNAMIC = "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"
_NAMES = ("pulumi", _HOST, _RUNNER, _DYNAMIC)


def programs() -> Mapping[str, Path]:
    """By name where each is.  Raises `UnavailableError`."""
    on_path = {name: Path(where) for name in _NAMES if (where := shutil.which(name))}
    if on_path.keys() == set(_NAMES):
        return on_path
    folder = _ENGINE.folder()
    return {name: folder / name for name in _NAMES}


def _build(module: Path, into: Path, go: Builder) -> None:
    sdk = Path(json.loads(go("mod", "download", "-json", _SDK))["Dir"]) / "python"
    for script in (sdk / "cmd" / _RUNNER, sdk / "dist" / _DYNAMIC):
        shutil.copyfile(script, into / script.name)
        (into / script.name).chmod(0o755)
    # Nothing inlined: a fifth less for the compiler, and the engine waits for providers anyhow.
    flags = ("-trimpath", "-gcflags=all=-l", "-ldflags", f"-s -w -X {_VERSION}=v{ENGINE}", "-o", f"{into}/")
    for package, version in (
        ("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", ENGINE),
        (f"github.com/pulumi/pulumi/sdk/v3/python/cmd/{_HOST}", PYTHON_HOST),
    ):
        (module / "go.mod").write_text("module corral.test/engine\n")
        go("get", f"{package}@v{version}")
        go("build", *flags, package)


_ENGINE = BuiltPrograms("a Pulumi engine", f"pulumi-{ENGINE}", _NAMES, _build)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # which ends what is being built too
    try:
        programs()
    except UnavailableError as why:
        sys.exit(str(why))
