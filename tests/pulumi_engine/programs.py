"""Pulumi's engine and what it runs Python with: those on PATH, or else built from their Go modules.

python -m tests.pulumi_engine.programs     builds them; `make test` does it beside the other tests

An engine that is built here lacks what no test can use and what is half of the work of compilers (348 of 711 seconds on
one core): the commands that ask Pulumi's cloud, and states and keys in a cloud's store.  All else is the engine's own
text.  Seen on 3.276.0; this can go when an engine comes from a registry of packages.
"""

from __future__ import annotations

import json
import re
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

_ENGINE_MODULE = "github.com/pulumi/pulumi/pkg/v3"
_SDK = f"github.com/pulumi/pulumi/sdk/v3@v{ENGINE}"
_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_HOST, _RUNNER, _DYNAMIC = "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"
_NAMES = ("pulumi", _HOST, _RUNNER, _DYNAMIC)

_CUT = (
    ("cmd/pulumi/pulumi.go", r'^[^\n]*(cmd/pulumi/(cloud|insights|org)"|(cloud|insights|org)\.New)[^\n]*\n', ""),
    ("cmd/pulumi/cloud/envelope.go", r"^[^\n]*ParamSpec[^\n]*\n", ""),
    ("cmd/esc/cli/env.go", r"^[^\n]*newEnvSetupCmd[^\n]*\n", ""),
    ("backend/diy/backend.go", r'^\t(_ )?"(gocloud.dev/blob/(azure|gcs|s3)blob|\S*/authhelpers)"[^\n]*\n', ""),
    ("backend/diy/backend.go", r"^\tif p\.Scheme == (gcs|azure)blob\.Scheme {\n.*?^\t}\n", ""),
    ("backend/diy/bucket.go", r"^\tawss3 [^\n]*\n", ""),
    ("backend/diy/bucket.go", r"awss3\.CopyObjectInput", "struct{ CopySource *string }"),
    ("secrets/cloud/manager.go", r'^\t(_ )?"(gocloud.dev/secrets/\w+|\S*/cloudkms/v1|\S*/authhelpers)"[^\n]*\n', ""),
    ("secrets/cloud/manager.go", r"^\tcase gcpkms\.Scheme:.*?(?=^\tdefault:)", ""),
)
"""Per file of the engine's module what is taken out of its text, or what comes in its place."""


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
    _cut(Path(json.loads(go("mod", "download", "-json", f"{_ENGINE_MODULE}@v{ENGINE}"))["Dir"]), module / "pkg")
    flags = ("-trimpath", "-ldflags", f"-s -w -X {_VERSION}=v{ENGINE}", "-o", f"{into}/")
    for package, version, replaced in (
        (f"{_ENGINE_MODULE}/cmd/pulumi", ENGINE, f"replace {_ENGINE_MODULE} => ./pkg\n"),
        (f"github.com/pulumi/pulumi/sdk/v3/python/cmd/{_HOST}", PYTHON_HOST, ""),
    ):
        (module / "go.mod").write_text(f"module corral.test/engine\n\n{replaced}")
        go("get", f"{package}@v{version}")
        go("build", *flags, package)


def _cut(engine: Path, into: Path) -> None:
    """Copies the engine's module without what is cut."""
    unread = shutil.ignore_patterns("*_test.go", "testdata")
    shutil.copytree(engine, into, ignore=unread, copy_function=shutil.copyfile)
    for folder in (into, *(each for each in into.rglob("*") if each.is_dir())):
        folder.chmod(0o755)
    for file in {*(into / "cmd/pulumi/cloud").glob("*.go"), *(into / "cmd/esc/cli").glob("setup*.go")}:
        if file.name != "envelope.go":
            file.unlink()
    for name, pattern, instead in _CUT:
        file = into / name
        text, count = re.subn(pattern, instead, file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        if not count:
            raise UnavailableError(f"an engine cannot be built: {name} of {ENGINE} has nothing like {pattern}")
        file.write_text(text, encoding="utf-8")


_ENGINE = BuiltPrograms("a Pulumi engine", f"pulumi-{ENGINE}-local", _NAMES, _build)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # which ends what is being built too
    try:
        programs()
    except UnavailableError as why:
        sys.exit(str(why))
