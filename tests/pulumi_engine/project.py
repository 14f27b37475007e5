"""A project with an example of a stack, with a state, keys and providers of its own, for a real engine to work on.

Pulumi.yaml, stacks/    the project, to be edited
state/                  Pulumi's state: a file backend
providers/              what the stand-ins for providers keep
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.config.stack import Stack
from corral.gateway import archives
from corral.gateway.charts import charts
from corral.hosts.keys import missing_keys
from corral.plan.build import build
from corral.testing import NEVER
from tests.pulumi_engine.history import History
from tests.pulumi_engine.home import KUBECONFIG
from tests.pulumi_engine.stand_ins.store import FOLDER, Store, Thing

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "stacks" / "examples"

PROGRAM = "from corral import deploy\n\ndeploy()\n"

PASSPHRASE = "a passphrase of the tests"

_SECRETS_PROVIDER = ("secretsprovider", "encryptedkey", "encryptionsalt")
"""The keys of a stack file that say how its secrets are encrypted."""

_PROXIES = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost"}
_NOWHERE = {**_PROXIES, **{name.upper(): value for name, value in _PROXIES.items()}}
"""What beyond this machine a program calls by HTTP, it does not reach."""

_NOT_OURS = ("AWS_", "ARM_", "AZURE_", "KUBE", "PULUMI_", "GOOGLE_")
"""How the variables begin that would lead an engine, or a program, to somebody's account."""


@dataclass(frozen=True)
class Outcome:
    """What one run of the engine did."""

    changes: Mapping[str, int]
    """Per operation (`create`, `update`, `same` …) the number of resources that the program makes.

    What an `up` only looked up, and the next one does not, is discarded from the state: nothing is done to it.
    """
    text: str
    """All that it said."""
    history: History
    """What the providers were asked to do."""


class FailedError(Exception):
    """The engine gave up."""

    def __init__(self, text: str, history: History) -> None:
        super().__init__(text)
        self.text = text
        self.history = history


class Project:
    """One stack, in a folder of its own."""

    def __init__(self, folder: Path, stack: str, home: Path) -> None:
        self.folder, self.stack, self._home = folder, stack, home
        self.file = folder / "stacks" / f"Pulumi.{stack}.yaml"
        self.store = Store(folder / "providers")
        self.state = folder / "state"
        self._opened: automation.Stack | None = None

    @classmethod
    def make(cls, folder: Path, stack: str, home: Path) -> Project:
        """A new one, whose stack has every key that it needs."""
        (folder / "stacks").mkdir(parents=True)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        example = (EXAMPLES / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
        content = yaml.safe_load(example.replace("~/.kube/config", f"{home}/{KUBECONFIG}"))
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(_dumped(without_secrets(content)), encoding="utf-8")
        (folder / "stacks" / "__main__.py").write_text(PROGRAM)
        for where in (folder, folder / "stacks"):  # as `make` leaves them
            (where / ".venv").symlink_to(sys.prefix)
        (folder / "state").mkdir()
        project = cls(folder, stack, home)
        project.give_keys()
        return project

    def copy(self, folder: Path) -> Project:
        """The same stack in the same state, apart from this one."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, self.stack, self._home)

    def give_keys(self) -> None:
        """A key, encrypted, for every host that is called with one and has none."""
        catalog = load_catalog()
        stack = read_stack(self.file, catalog)
        self._give_charts(stack)
        for host in missing_keys(build(stack, catalog), stack.keys):
            self.give_key(host, f"{NEVER}-{host}")

    def give_key(self, host: str, key: str) -> None:
        """A key for a host, encrypted, in place of the one that it has."""
        value = automation.ConfigValue(key, secret=True)
        self._stack().set_config(f"corral:keys.{host}", value, path=True)

    def _give_charts(self, stack: Stack) -> None:
        """Archives of the charts, which no stand-in opens, so that nothing is pulled."""
        folder = self.folder / "stacks" / archives.FOLDER
        folder.mkdir(exist_ok=True)
        for chart in charts(stack):
            (folder / chart.archive).write_bytes(b"")
        empty = sha256(b"").hexdigest()
        (folder / archives.SUMS).write_text("".join(f"{empty}  {chart.archive}\n" for chart in charts(stack)))

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edits the `config` of the stack file, and gives keys to the hosts that are new."""
        content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        change(content["config"])
        self.file.write_text(_dumped(content), encoding="utf-8")
        self.give_keys()

    def preview(self) -> Outcome:
        """What `pulumi preview` says.  Raises FailedError."""
        return self._run(lambda stack, say: stack.preview(on_output=say).change_summary)

    def up(self, *replace: str) -> Outcome:
        """`pulumi up`, with the URNs of what it is to replace.  Raises FailedError."""
        return self._change("up", *(f"--replace={urn}" for urn in replace))

    def refresh(self) -> Outcome:
        """`pulumi refresh`.  Raises FailedError."""
        return self._change("refresh")

    def destroy(self) -> Outcome:
        """`pulumi destroy --skip-preview`.  Raises FailedError."""
        return self._change("destroy")

    def preview_destroy(self) -> Outcome:
        """What `pulumi destroy` does before it asks whether to go on.  Raises FailedError."""
        return self._run(lambda stack, say: stack.preview_destroy(on_output=say).change_summary)

    def outputs(self) -> automation.OutputMap:
        """What the program exports."""
        return self._stack().outputs()

    def resources(self) -> list[dict[str, Any]]:
        """What Pulumi's state has in it, secrets decrypted and marked."""
        return (self._stack().export_stack().deployment or {}).get("resources", [])

    def managed(self) -> list[dict[str, Any]]:
        """Of the resources those that the program makes: not what it only looks up, nor Pulumi's own providers."""
        return [each for each in self.resources() if not each.get("external") and "::default" not in each["urn"]]

    def things(self) -> list[Thing]:
        """What is there at the providers."""
        return list(self.store.things())

    def history(self) -> History:
        """What the providers were asked to do until now."""
        return History.read(self.store.history)

    def _change(self, verb: str, *arguments: str) -> Outcome:
        """What changed is read from the state: that saves the three commands by which automation asks for it."""

        def changed(stack: automation.Stack, say: Callable[[str], None]) -> Mapping[str, int]:
            command = [verb, "--yes", "--skip-preview", "--stack", self.stack, *arguments]
            stack.workspace.pulumi_command.run(command, str(self.folder), self.environment, on_output=say)
            newest = max((self.state / ".pulumi" / "history").glob(f"*/{self.stack}/*.history.json"))
            return json.loads(newest.read_text(encoding="utf-8"))["resourceChanges"]

        return self._run(changed)

    def _run(self, operation: Callable[[automation.Stack, Callable[[str], None]], Mapping[Any, int] | None]) -> Outcome:
        before, output = self.history(), io.StringIO()
        try:
            changes = operation(self._stack(), lambda line: print(line, file=output))
        except automation.CommandError as error:
            raise FailedError(f"{output.getvalue()}\n{error}", self.history().since(before)) from None
        counted = {str(getattr(key, "value", key)): number for key, number in (changes or {}).items()}
        counted.pop("discard", None)
        return Outcome(counted, output.getvalue(), self.history().since(before))

    def _stack(self) -> automation.Stack:
        if self._opened is None:
            workspace = automation.LocalWorkspace(
                work_dir=str(self.folder),
                pulumi_home=str(self._home),
                env_vars=self.environment,
                pulumi_command=_command(self._home),
            )
            self._opened = automation.Stack.create_or_select(self.stack, workspace)
        return self._opened

    @property
    def environment(self) -> dict[str, str]:
        """All the variables of the engine, for it to work on this project and in nobody's account."""
        return {
            **os.environ,
            **_NOWHERE,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self._home),
            "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), str(self._home / "bin"), os.environ["PATH"]]),
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(self._home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            FOLDER: str(self.folder / "providers"),
        }


@cache
def _command(home: Path) -> automation.PulumiCommand:
    """It asks the program for its version, once."""
    return automation.PulumiCommand(str(home))


def without_secrets(content: Mapping[str, Any]) -> dict[str, Any]:
    """A stack file as it was before `pulumi stack init` and `pulumi config set --secret` wrote into it."""
    config = {key: value for key, value in content["config"].items() if key != "corral:keys"}
    return {**{key: value for key, value in content.items() if key not in _SECRETS_PROVIDER}, "config": config}


def _dumped(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Takes away what would lead to an account of whoever runs the tests."""
    mine = {name: value for name, value in os.environ.items() if name.startswith(_NOT_OURS)}
    for name in mine:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(mine)
