"""Every command in the README is run, in a copy of the project, in the order in which a reader would."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from corral.catalog.load import load_catalog
from corral.cli.main import app
from corral.cli.tables import status_table
from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, until

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
PORT = "8080"
"""The port in the README; each run takes a free one instead."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The commands of all `sh` blocks, each on one line."""
    return [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines() if line.strip()]


INIT = "corral init acme-llama --template aws"
SERVING = ("make serve", "corral serve --stack prod --simulate")
"""They go on until they are told to end."""
OF_MAKE = ("make check", "make test")
DRILL = "corral drill --stack prod"
"""It goes on for longer than any other."""
OTHERS = [line for line in commands() if line not in (*SERVING, *OF_MAKE, DRILL, INIT, "source .venv/bin/activate")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The shell of somebody without any key, with the commands of this environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_TOKEN_BEDROCK")) and not name.startswith(("MAKE", "MFLAGS"))
    }
    commands = Path(sys.executable).parent
    git = {f"GIT_{who}_{what}": "reader" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | git | {"PATH": f"{commands}:{os.environ['PATH']}", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """What a reader has cloned, as far as the commands need it; the stack `local` of the examples has a free port."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "Pulumi.yaml"):
        shutil.copy2(ROOT / name, folder)
    shutil.copytree(ROOT / "tests" / "stacks" / "examples", folder / "stacks")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    file = folder / "stacks" / "Pulumi.local.yaml"
    text = file.read_text()
    assert "    kind: local\n" in text
    file.write_text(text.replace("    kind: local\n", f"    kind: local\n    port: {free_port()}\n"))
    for step in (["init", "--quiet"], ["add", "stacks"], ["commit", "--quiet", "--message", "the stacks"]):
        subprocess.run(["git", *step], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture(scope="module")
def served(clone: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`make serve`; the environment is there already, so that nothing is installed."""
    process = subprocess.Popen(
        ["make", "--old-file=.venv/ready", "serve"],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: StateFolder.of(clone, "local").running() or process.poll() is not None, "make serve serves")
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def url(clone: Path) -> str:
    running = StateFolder.of(clone, "local").running()
    assert running, "make serve has ended"
    return running.url


def wanted_status(command: str) -> int:
    """What the README says of it, in a comment behind the command; 0 if it says nothing."""
    said = re.search(r"# exit status (\d)", command)
    return int(said[1]) if said else 0


def edit(file: Path, before: str, after: str) -> None:
    assert file.read_text().count(before) == 1
    file.write_text(file.read_text().replace(before, after))


@pytest.fixture(scope="module")
def moved(clone: Path, served: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """`make serve` after the edit that the README tells of."""
    file = clone / "stacks" / "Pulumi.local.yaml"
    running = StateFolder.of(clone, "local").running()
    edit(file, "{bedrock: 60, azure: 25, vllm: 15}", "{bedrock: 20, azure: 25, vllm: 55}")
    until(lambda: StateFolder.of(clone, "local").running() != running, "the move is in force")
    return served


@pytest.mark.parametrize("command", OTHERS)
@pytest.mark.usefixtures("moved")
def test_a_command_does_what_the_readme_says(clone: Path, environment: dict[str, str], command: str):
    done = subprocess.run(
        ["bash", "-c", command.replace(f"http://127.0.0.1:{PORT}/v1", url(clone))],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == wanted_status(command), done.stdout + done.stderr
    if command.startswith("curl"):
        assert json.loads(done.stdout)["choices"][0]["message"]["content"].endswith("hello")


@pytest.mark.usefixtures("served")
def test_the_python_of_the_readme_gets_an_answer(clone: Path, environment: dict[str, str]):
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program.replace(f"http://127.0.0.1:{PORT}/v1", url(clone))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("hello\n")


def test_make_up_says_the_move_and_ends_with_status_0(clone: Path, moved: subprocess.Popen[str]):
    corral = StateFolder.of(clone, "local").running()
    assert corral
    os.kill(corral.pid, signal.SIGINT)
    said, _ = moved.communicate(timeout=PATIENCE)
    assert (moved.returncode, said.splitlines()[-1]) == (0, "Stopped.")
    (move,) = re.findall(r"the terminal says `(.+?)`", README.replace("\n", " "))
    assert move in said.splitlines()


def test_production_is_rehearsed(clone: Path, environment: dict[str, str]):
    assert SERVING[1] in commands()
    process = subprocess.Popen(
        [*SERVING[1].split(), "--port", "0"],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: StateFolder.of(clone, "prod").running() or process.poll() is not None, "it serves")
    try:
        assert process.stdout
        printed = next(line.rstrip() for line in process.stdout if line.startswith("  curl "))
        answer = subprocess.run(
            ["bash", "-c", f"{printed} --silent --dump-header -"],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(r"^x-corral-host: (bedrock|azure|vllm)", answer.stdout, re.MULTILINE), answer.stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_the_drill_of_production_loses_nothing(clone: Path, environment: dict[str, str]):
    assert DRILL in commands()
    done = subprocess.run(
        [*DRILL.split(), "--minutes", "0.2"],  # as short as there is
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=8 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^prod: [1-9][\d,]* requests, .* 0 lost, in \d+ s\.$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("command", [*OF_MAKE, "make serve", "make bench"])
def test_what_make_is_asked_for_is_there(clone: Path, environment: dict[str, str], command: str):
    assert command in README
    done = subprocess.run(
        [*command.split(), "--dry-run", "--old-file=.venv/ready"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    program = done.stdout.removeprefix("exec ").split()[0]
    assert (clone / program).exists(), done.stdout


def test_a_host_of_one_s_own_is_five_lines_that_validate(clone: Path, environment: dict[str, str]):
    text, lines = blocks("yaml")
    assert lines.count("\n") == 5
    with_lab = text.replace("  corral:models:\n", lines + "  corral:models:\n")
    with_lab = with_lab.replace("fallback: [deepinfra]", "fallback: [deepinfra, lab]")
    (clone / "stacks" / "Pulumi.lab.yaml").write_text(with_lab)
    done = subprocess.run(
        ["corral", "plan", "--json", "--stack", "lab"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    models = {model["name"]: model for model in json.loads(done.stdout)["plan"]["models"]}
    lab = next(target for target in models["llama-3.3-70b"]["targets"] if target["host"] == "lab")
    told = yaml.safe_load(lines)["lab"]
    assert (lab["url"], lab["modelId"]) == (told["url"], told["models"]["llama-3.3-70b"])


def test_a_share_edit_of_the_stack_does_what_the_readme_shows(tmp_path: Path, environment: dict[str, str]):
    stack, _ = blocks("yaml")
    before, after = (line[1:] for line in blocks("diff")[0].splitlines())
    file = tmp_path / "stacks" / "Pulumi.prod.yaml"
    file.parent.mkdir()
    file.write_text(stack)
    for step in (["init", "--quiet"], ["add", "stacks"], ["commit", "--quiet", "--message", "the stack"]):
        subprocess.run(["git", *step], cwd=tmp_path, env=environment, check=True)
    edit(file, before, after)
    done = subprocess.run(
        ["corral", "diff"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith(blocks("text")[0])


def test_every_verb_and_every_host_of_the_catalog_has_its_row():
    verbs = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    assert set(re.findall(r"^\| `corral (\w+)", COMMANDS, re.MULTILINE)) == verbs
    assert set(re.findall(r"^\| `(\w+)`", README, re.MULTILINE)) == set(load_catalog().hosts)


def test_the_keys_in_the_host_table_are_the_catalog_s():
    for name, host in load_catalog().hosts.items():
        (row,) = re.findall(rf"^\| `{name}`.*$", README, re.MULTILINE)
        assert host.key_variable is None or f"`{host.key_variable}`" in row


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_picture_is_of_the_table_as_it_is_now():
    picture = (ROOT / "docs" / "live-table.svg").read_text()
    words = picture.replace("&#160;", " ")
    of_today = Console(width=200, file=io.StringIO())
    with of_today.capture() as head:
        of_today.print(status_table([]))
    assert [column for column in re.split(r"\s{2,}", head.get().strip()) if column not in words] == []
    assert not re.search(r"@font-face|href=|src=|url\((?!#)", picture), "it loads something from elsewhere"
