"""`corral init`: a repository of a team's own, which works as it is written.

It has one stack, of the template that is asked for, and everything around it: the program, the tests that every stack
has to pass, the workflow, and the versions of all that was installed when it was made.  Its files are in `templates/`,
with names between `@` that are filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from corral import __version__
from corral.catalog.load import load_catalog
from corral.cli.prices import lock_text
from corral.cli.project import FOLDER, CommandError
from corral.config.prices import FILE as PRICES
from corral.config.schema import json_schema

PROGRAM = "from corral import deploy\n\ndeploy()\n"

INSTALL = "python -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt"

_SCHEDULE = """\
  schedule:
    - cron: "17 5 * * *"                           # drift, in the morning
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What Pulumi takes for the name of a project, and any file system for that of a folder."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[(?P<extras>[^]]*)\])?\s*(?P<version>[^;]*)(?:;\s*(?P<marker>.*))?")
_EXTRA = re.compile(r"""(?:\s+and\s+)?extra == ['"]([^'"]+)['"]""")


class Template(StrEnum):
    """What the stack runs on."""

    AWS = "aws"
    KUBERNETES = "kubernetes"
    LOCAL = "local"


def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The folder to make, and the name of the Pulumi project.")
    ],
    template: Annotated[
        Template,
        typer.Option(
            metavar="NAME",
            help="aws: a cluster there, and Bedrock; kubernetes: a cluster of yours; local: one machine.",
        ),
    ] = Template.AWS,
) -> None:
    """Write a repository for stacks of your own: a first stack, its tests, and the workflow that deploys it."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot be the name of a project: it may have letters, digits, `.`, `_` and `-`, the first of "
            "them a letter or a digit, and 100 at most."
        )
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{name} is there, and no empty folder: name a new one.")
    stack = "local" if template is Template.LOCAL else "prod"
    requirements = [*_requirements(template)]
    texts = _texts(name, template, stack) | {"requirements.txt": "".join(f"{line}\n" for line in requirements)}
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    # Pulumi looks for a dynamic provider's environment beside the program, not beside Pulumi.yaml.
    (folder / FOLDER / ".venv").symlink_to("../.venv")
    typer.echo(f"wrote {name}, with the stack {name}/{FOLDER}/Pulumi.{stack}.yaml; read {name}/README.md")
    if loose := [line for line in requirements if "==" not in line.partition(";")[0]]:
        typer.echo(f"not installed here, so not pinned in {name}/requirements.txt: {', '.join(loose)}")


def _texts(name: str, template: Template, stack: str) -> dict[str, str]:
    """By path what does not depend on this environment."""
    cluster = template is not Template.LOCAL
    ramps = {".github/workflows/ramp.yaml": "workflow-ramp.yaml"} if cluster else {}
    charts = "| edit without a registry | `corral registry pull`, once, and commit `stacks/charts` |\n"
    steps = "| `.github/workflows/ramp.yaml` | the steps of ramps; its first lines say what it needs |\n"
    values = {
        "name": name,
        "stack": stack,
        "install": INSTALL,
        "up": f"pulumi up -s {stack}" if cluster else "save the file while `corral serve` runs",
        "charts": charts if cluster else "",
        "ramps": "| move it in steps, with a guard | `corral:ramps`, then `corral ramp` |\n",
        "steps": steps if cluster else "",
        "deployed": ", `pulumi up` once it is merged" if cluster else "",
    }
    return {
        f"{FOLDER}/Pulumi.{stack}.yaml": template_text(f"{template}.yaml"),
        f"{FOLDER}/__main__.py": PROGRAM,
        f"{FOLDER}/schema.json": json.dumps(json_schema(load_catalog()), indent=2) + "\n",
        f"{FOLDER}/{PRICES}": lock_text(load_catalog(), datetime.now(UTC).date()),
        "tests/test_stacks.py": template_text("test_stacks.py"),
        ".github/workflows/stack.yaml": workflow(cluster=cluster, **values),
        ".gitignore": template_text("gitignore"),
        "Pulumi.yaml": template_text("Pulumi.yaml", **values),
        "README.md": template_text("README.md", **values),
        **{path: template_text(file, **values) for path, file in ramps.items()},
    }


def template_text(file: str, **values: str) -> str:
    """A template, filled in."""
    text = (files("corral.cli") / "templates" / file).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def workflow(*, cluster: bool, **values: str) -> str:
    """The workflow, with the jobs that deploy, and that look for drift, where there is a cluster."""
    parts = ("workflow.yaml", "workflow-up.yaml") if cluster else ("workflow.yaml",)
    return "".join(template_text(part, schedule=_SCHEDULE if cluster else "", **values) for part in parts)


def _requirements(template: Template) -> Iterator[str]:
    """Corral, and everything that it needs in the version that is installed here, in order of name."""
    extras = {Template.AWS: "aws,testing", Template.KUBERNETES: "testing", Template.LOCAL: "local,testing"}[template]
    yield f"corral[{extras}]=={__version__}"
    pins: dict[str, str] = {}
    pending = [("corral", extras)]
    while pending:
        needing, wanted = pending.pop()
        for name, of_name, version, marker in _needed(needing, wanted.split(",")):
            key = name.lower().replace("_", "-")
            if key in pins:
                continue
            try:
                pinned = f"=={metadata.version(name)}"
                pending.append((name, of_name))
            except metadata.PackageNotFoundError:
                pinned = version
                if needing != "corral":
                    continue
            pins[key] = f"{key}{pinned}{f'; {marker}' if marker else ''}"
    yield from (pins[name] for name in sorted(pins))


def _needed(distribution: str, extras: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """What a distribution needs with these extras: name, extras, versions, and the platforms on which it does."""
    for line in metadata.requires(distribution) or ():
        if (match := _REQUIREMENT.fullmatch(line)) is None:
            continue
        marker = match["marker"] or ""
        if all(extra in extras for extra in _EXTRA.findall(marker)):
            yield match["name"], match["extras"] or "", match["version"].strip(), _EXTRA.sub("", marker).strip()
