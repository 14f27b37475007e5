"""What git says of a stack file, asked of a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from corral.repository import commit_of, commits, head_log

NAME = "Pulumi.local.yaml"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A stack file in a repository with one commit."""
    file = tmp_path / "stacks" / NAME
    file.parent.mkdir()
    file.write_text("first")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return file


def test_a_commit_is_dirty_where_what_was_read_differs_and_where_it_is_not_tracked(file: Path):
    first = git(file.parent, "rev-parse", "HEAD")
    prices = file.parent / "prices.lock.yaml"
    assert commit_of(file, prices) == first
    (file.parents[1] / "README.md").write_text("of no concern")
    assert commit_of(file, prices) == first
    prices.write_text("new")
    assert commit_of(file, prices) == f"{first}-dirty"
    prices.unlink()
    file.write_text("edited")
    assert commit_of(file, prices) == f"{first}-dirty"


def test_the_commits_of_a_file_are_those_that_changed_it_and_the_log_of_heads_grows_with_each(file: Path):
    log = head_log(file)
    assert log is not None
    before = log.stat().st_size
    (file.parents[1] / "README.md").write_text("another file")
    git(file.parent, "add", "-A", "..")
    git(file.parent, "commit", "-qm", "not the stack")
    assert [(each.sha, each.title) for each in commits(file)] == [(git(file.parent, "rev-parse", "HEAD~1"), "t: first")]
    assert [each.title for each in commits(file, at="HEAD")] == ["t: not the stack"]
    assert log.stat().st_size > before


def test_without_a_repository_and_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = tmp_path / NAME
    file.write_text("alone")
    assert (commit_of(file), head_log(file)) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert (commit_of(file), head_log(file)) == (None, None)
