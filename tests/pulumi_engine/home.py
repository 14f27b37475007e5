"""Pulumi's own folder for a real engine, with the engine in it, and stand-ins for the plug-ins of the providers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread

from tests.pulumi_engine.programs import programs
from tests.pulumi_engine.stand_ins.cloud import API_SERVER
from tests.pulumi_engine.stand_ins.serve import WORLDS

KUBECONFIG = "kubeconfig"
"""The file in the folder that names a cluster which answers."""

_ROOT = Path(__file__).parents[2]
_SDKS = {name: f"pulumi_{name.replace('-', '_')}" for name in WORLDS}

_PLUGIN = """#!{python}
import sys
from types import ModuleType

sys.path.insert(0, {root!r})
# A plug-in starts with every run and needs the package's recording alone, not what reads stacks: that takes a second.
package = sys.modules["corral.testing"] = ModuleType("corral.testing")
package.__path__ = [{testing!r}]
from tests.pulumi_engine.stand_ins.serve import serve

serve({name!r}, {version!r})
"""


def furnish(folder: Path) -> None:
    """Makes the folder Pulumi's own: `bin`, and each stand-in in the version that the provider's SDK asks for.

    Raises `tests.built_programs.UnavailableError` where there is no engine.
    """
    (folder / "bin").mkdir(parents=True)
    for name, program in programs().items():
        (folder / "bin" / name).symlink_to(program)
    testing = str(files("corral.testing"))
    for name, sdk in _SDKS.items():
        version = json.loads(files(sdk).joinpath("pulumi-plugin.json").read_text())["version"]
        plugin = folder / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        plugin.parent.mkdir(parents=True)
        plugin.write_text(
            _PLUGIN.format(python=sys.executable, root=str(_ROOT), testing=testing, name=name, version=version)
        )
        plugin.chmod(0o755)


@contextlib.contextmanager
def answering(folder: Path) -> Iterator[None]:
    """A cluster for the program, which asks whether it is there and lets it in, and the AWS CLI, which prints a token
    for it; all else about it is the stand-in's."""
    aws = folder / "bin" / "aws"
    aws.parent.mkdir(exist_ok=True)
    aws.write_text("""#!/bin/sh\necho '{"status": {"token": "k8s-aws-v1.token"}}'\n""")
    aws.chmod(0o755)
    with HTTPServer(("127.0.0.1", 0), _ApiServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        contexts = [{"name": "kind-corral", "context": {"cluster": "kind-corral"}}]
        os.environ[API_SERVER] = f"http://127.0.0.1:{server.server_port}"
        clusters = [{"name": "kind-corral", "cluster": {"server": os.environ[API_SERVER]}}]
        (folder / KUBECONFIG).write_text(json.dumps({"contexts": contexts, "clusters": clusters}))
        yield
        server.shutdown()


class _ApiServer(BaseHTTPRequestHandler):
    """Lets in whoever has a token."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
