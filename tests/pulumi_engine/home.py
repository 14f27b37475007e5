"""Pulumi's own folder for a real engine, with the engine in it, and stand-ins for the plug-ins of the providers."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from tests.pulumi_engine.programs import programs
from tests.pulumi_engine.stand_ins.serve import WORLDS

KUBECONFIG = "kubeconfig"
"""The file in the folder that names a cluster which answers."""

_ROOT = Path(__file__).parents[2]
_SDKS = {name: f"pulumi_{name.replace('-', '_')}" for name in WORLDS}

_PLUGIN = """#!{python}
import sys

sys.path.insert(0, {root!r})
from tests.pulumi_engine.programs import programs
from tests.pulumi_engine.stand_ins.serve import serve

serve({name!r}, {version!r})
"""


def furnish(folder: Path) -> None:
    """Makes the folder Pulumi's own: `bin`, and each stand-in in the version that the provider's SDK asks for.

    Raises `tests.go_programs.UnavailableError` where there is no engine.
    """
    (folder / "bin").mkdir(parents=True)
    for name, program in programs().items():
        (folder / "bin" / name).symlink_to(program)
    for name, sdk in _SDKS.items():
        version = json.loads(files(sdk).joinpath("pulumi-plugin.json").read_text())["version"]
        plugin = folder / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        plugin.parent.mkdir(parents=True)
        plugin.write_text(_PLUGIN.format(python=sys.executable, root=str(_ROOT), name=name, version=version))
        plugin.chmod(0o755)


@contextlib.contextmanager
def answering(folder: Path) -> Iterator[None]:
    """A cluster for the program, which asks whether it is there; all else about it is the stand-in's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        contexts = [{"name": "kind-corral", "context": {"cluster": "kind-corral"}}]
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        clusters = [{"name": "kind-corral", "cluster": {"server": url}}]
        (folder / KUBECONFIG).write_text(json.dumps({"contexts": contexts, "clusters": clusters}))
        yield
