"""What reading a stack file makes of it, and what it says of files that are no stack at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral.catalog.catalog import Catalog
from corral.config.hosts import AzureHost, BedrockHost, Gpus, HostedHost, VllmHost
from corral.config.problems import ConfigError, Problem
from corral.config.read import read_stack
from corral.config.stack import Engine, Model, Secret, Stack

MINIMAL = """\
config:
  corral:hosts: {bedrock: {}}
  corral:models: {llama-3.3-70b: {shares: {bedrock: 100}}}
"""

PROD = """\
config:
  aws:region: us-east-1
  corral:hosts:
    bedrock: {region: us-east-1}
    azure: {location: eastus2, capacity: {llama-3.3-70b: 200}}
    vllm:
      gpus: {instance: g6e.12xlarge, min: 1, max: 4}
      modelWeights: {llama-3.3-70b: RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic}
    deepinfra: {}
    lab: {kind: openai, url: https://llm.lab.example.com/v1/, models: {llama-3.3-70b: Llama-3.3-70B}}
  corral:models:
    llama-3.3-70b:
      shares: {bedrock: 50, azure: 30, vllm: 20}
      fallback: [deepinfra, lab]
      volume: 900M
  corral:engine: {idleTimeout: 1.5m}
  corral:accept: [parity/llama-3.3-70b/lab]
  corral:keys:
    deepinfra: {secure: v1:AAAA}
"""


def problems(path: Path, catalog: Catalog) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        read_stack(path, catalog)
    return refused.value.problems


def test_a_stack_is_read_as_it_is_written(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(PROD)
    assert read_stack(path, catalog) == Stack(
        name="prod",
        region="us-east-1",
        hosts={
            "bedrock": BedrockHost(kind="bedrock", region="us-east-1"),
            "azure": AzureHost(kind="azure", location="eastus2", capacity={"llama-3.3-70b": 200}),
            "vllm": VllmHost(
                kind="vllm",
                gpus=Gpus(instance="g6e.12xlarge", min=1, max=4),
                model_weights={"llama-3.3-70b": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"},
            ),
            "deepinfra": HostedHost(kind="deepinfra"),
            "lab": HostedHost(
                kind="openai", url="https://llm.lab.example.com/v1", models={"llama-3.3-70b": "Llama-3.3-70B"}
            ),
        },
        models={
            "llama-3.3-70b": Model(
                shares={"bedrock": 50, "azure": 30, "vllm": 20}, fallback=["deepinfra", "lab"], volume=900_000_000
            )
        },
        engine=Engine(idle_timeout="1.5m"),  # pyright: ignore[reportArgumentType]
        accept=["parity/llama-3.3-70b/lab"],
        keys={"deepinfra": Secret(secure="v1:AAAA")},
    )


def test_a_key_is_in_no_representation_of_a_stack(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(PROD)
    stack = read_stack(path, catalog)
    assert stack.keys["deepinfra"].secure == "v1:AAAA"
    assert "AAAA" not in f"{stack!r} {stack} {stack.keys}"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + MINIMAL.encode(),
        MINIMAL.replace("\n", "\r\n").encode(),
        b"# \xc3\xa4 comment\n%YAML 1.2\n---\n" + MINIMAL.encode() + b"...\n",
        MINIMAL.encode().rstrip(),
    ],
    ids=["byte order mark", "line ends of Windows", "directive and document markers", "no line end at the end"],
)
def test_the_form_of_the_text_does_not_matter(content: bytes, tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_bytes(content)
    assert read_stack(path, catalog).hosts == {"bedrock": BedrockHost(kind="bedrock")}


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", None, "is empty: a stack starts with `config:` and has corral:hosts and corral:models under it"),
        (b"# a\n# b\n\xff\xfe\n", 3, "is not UTF-8 from here on: save it as UTF-8"),
        (MINIMAL.encode("utf-16"), 1, "is not UTF-8 from here on: save it as UTF-8"),
        (b"config:\n  a: \x00\n", 2, "a character that cannot be seen, U+0000: remove it"),
        (b"config:\n  a: b\xef\xbb\xbf\n", 2, "a character that cannot be seen, U+FEFF: remove it"),
        (b"# " + b"x" * 2**22, None, "is larger than 4 MiB"),
        (b"%YAML 9.0\n---\na: 1\n", 1, "is not valid YAML"),
        (b"[" * 100_000, 1, "is nested deeper than 32 levels"),
        (b"{a: " * 100_000, 1, "is nested deeper than 32 levels"),
        (b"- " * 100_000, 1, "is nested deeper than 32 levels"),
        (b"? " * 100_000, 1, "is nested deeper than 32 levels"),
    ],
    ids=[
        "no byte", "not UTF-8", "UTF-16", "NUL", "byte order mark inside", "too large", "YAML 9", "brackets", "braces",
        "lists", "keys",
    ],
)  # fmt: skip
def test_a_file_that_is_no_stack_says_so(
    content: bytes, line: int | None, message: str, tmp_path: Path, catalog: Catalog
):
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_bytes(content)
    assert problems(path, catalog) == (Problem(str(path), line, "", message),)


def test_a_stack_that_is_not_there_names_those_that_are_and_the_nearest(tmp_path: Path, catalog: Catalog):
    for stack in ("prod", "staging", "local"):
        (tmp_path / f"Pulumi.{stack}.yaml").touch()
    (tmp_path / "Pulumi.yaml").touch()
    cases = {
        "prd": "there is no stack prd: did you mean prod? There are local, prod and staging",
        "nowhere": "there is no stack nowhere. There are local, prod and staging",
    }
    got = {name: problems(tmp_path / f"Pulumi.{name}.yaml", catalog)[0].message for name in cases}
    assert got == cases


def test_a_folder_without_stacks_says_so(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "stacks" / "Pulumi.prod.yaml"
    assert problems(path, catalog) == (
        Problem(str(path), None, "", f"there is no such file, and no stack in {path.parent}"),
    )


def test_a_folder_in_a_file_s_place_cannot_be_read(tmp_path: Path, catalog: Catalog):
    assert problems(tmp_path, catalog) == (Problem(str(tmp_path), None, "", "cannot be read: Is a directory"),)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    os.mkfifo(path)
    message = "is a pipe or a device: a stack is read from a regular file"
    assert problems(path, catalog) == (Problem(str(path), None, "", message),)


def test_a_message_is_one_short_line_whatever_the_names_are(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    long = "x" * 1_000
    path.write_text(f'config:\n  corral:hosts: {{"a\\nb\\e[31m": {{}}, "{long}": {{}}}}\n  "corral:\\u202e": 1\n')
    text = [str(problem).removeprefix(str(path)) for problem in problems(path, catalog)]
    assert [line for line in text if not line.isprintable() or len(line) > 400] == []
    assert text[1].startswith(':2 corral:hosts."a\\nb\\u001b[31m": ')


def test_reading_a_stack_needs_no_pulumi():
    program = "import sys, corral.config.read, corral.config.schema; print('pulumi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_thousand_models_on_ten_hosts_are_read(tmp_path: Path, catalog: Catalog):
    hosts = "".join(f"    host-{host}: {{kind: groq}}\n" for host in range(10))
    shares = ", ".join(f"host-{host}: 10" for host in range(10))
    ids = "".join(f"model-{model}: id, " for model in range(1_000))
    models = "".join(f"    model-{model}: {{shares: {{{shares}}}, fallback: [lab]}}\n" for model in range(1_000))
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(
        f"config:\n  corral:hosts:\n{hosts}"
        f"    lab: {{kind: openai, url: https://llm.lab.example.com/v1, models: {{{ids}}}}}\n"
        f"  corral:models:\n{models}"
    )
    stack = read_stack(path, catalog)
    assert (len(stack.hosts), len(stack.models)) == (11, 1_000)
