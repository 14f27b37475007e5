"""Without the extras of the package what needs none works, and the rest says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOCAL = (
    "certifi",
    "httptools",
    "openai",
    "prometheus_client",
    "psutil",
    "rstr",
    "starlette",
    "uvicorn",
    "uvloop",
    "watchfiles",
)
CLOUDS = ("boto3", "botocore", "pulumi_aws", "pulumi_azure_native")


def corral(*arguments: str, without: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The command in a Python that cannot import these modules."""
    program = f"import sys; sys.modules |= dict.fromkeys({without!r}); from corral.cli.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments", [("plan", "--json"), ("diff",), ("explain", "m"), ("schema", "-o", "-"), ("--help",)]
)
def test_what_needs_no_extra_works_without_any(project: Path, arguments: tuple[str, ...]):
    for step in (["init", "--quiet"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "x"]):
        subprocess.run(["git", *step], cwd=project, check=True)
    done = corral(*arguments, without=(*LOCAL, *CLOUDS))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--simulate"),
        ("status",),
        ("usage", "--by", "host"),
        ("reconcile", "--bill", "x"),
        ("compare", "m"),
        ("fault", "groq", "503"),
        ("drill",),
    ],
)
@pytest.mark.usefixtures("project")
def test_a_verb_of_one_machine_says_what_to_install(arguments: tuple[str, ...]):
    done = corral(*arguments, without=LOCAL)
    way_out = f"corral {arguments[0]} needs libraries that are not installed here: pip install 'corral[local]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", way_out)
