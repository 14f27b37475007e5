"""A proof of residency is verified from the files alone, and fails once one of them, or the proof, is another."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corral import verify_residency
from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.plan.build import build
from corral.plan.proof import residency_paths
from corral.plan.public_json import to_json
from corral.verify_residency import Yaml, derived, main
from tests.cli.conftest import Corral

pytestmark = pytest.mark.process  # git is asked for the commit

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "components" / "corral" / "catalog"
CORPUS = ROOT / "tests" / "stacks"
STACKS = sorted({*(CORPUS / "valid").glob("*.yaml"), *(CORPUS / "examples").glob("Pulumi.*.yaml")})
READ = [*sorted(CATALOG.rglob("*.yaml")), *STACKS, *sorted((CORPUS / "refused").glob("*.yaml"))]


def test_it_reads_yaml_as_pyyaml_does():
    other = [
        file.name for file in READ if Yaml(file.read_text()).whole() != yaml.load(file.read_text(), yaml.BaseLoader)
    ]
    assert other == []


UNREAD = [
    "a: !!str b",
    "a: b: c",
    "a: {b: c",
    "a: *b",
    "a: 'b",
    "a: b\n  c: d",
    "<<: {a: b}",
    "a: b\na: c",
    "%YAML 1.2",
]


@pytest.mark.parametrize("text", UNREAD)
def test_what_it_cannot_read_it_refuses(text: str):
    with pytest.raises(verify_residency.UnreadableError, match=r"^line "):
        Yaml(text).whole()


def test_it_derives_the_paths_that_the_plan_has_from_every_stack_of_the_corpus():
    catalog = load_catalog()
    entries = {file.stem: Yaml(file.read_text()).whole() for file in (CATALOG / "hosts").glob("*.yaml")}
    places = Yaml((CATALOG / "regions.yaml").read_text()).whole()
    paths = 0
    for file in STACKS:
        want = to_json(residency_paths(build(read_stack(file, catalog), catalog)))
        assert derived(Yaml(file.read_text()).whole()["config"], entries, places) == want, file.name
        paths += len(residency_paths(build(read_stack(file, catalog), catalog)))
    assert paths > 50


STACK = """\
config:
  aws:region: us-east-1
  corral:hosts:
    bedrock: {}
    lab: {kind: openai, url: "https://lab.example.com/v1", regions: [eu-west-1], models: {llama-3.3-70b: lab}}
    deepinfra: {}
  corral:models:
    llama-3.3-70b: {shares: {bedrock: 60, lab: 40}, residency: [us, eu]}
  corral:tenants: {search: {}, house: {residency: [eu]}}
"""


class Repository:
    """A repository with a stack, a catalog beside it, and the proof of that stack."""

    def __init__(self, root: Path, corral: Corral) -> None:
        self.root, self.proof = root, root / "proof.json"
        self.stack = root / "stacks" / "Pulumi.prod.yaml"
        self.stack.write_text(STACK)
        self.catalog = root / "components" / "corral" / "catalog"
        shutil.copytree(CATALOG, self.catalog)
        done = corral("prove", "residency", "--stack", "prod")
        assert (done.status, done.err) == (0, "")
        self.proof.write_text(done.out)

    def edit(self, file: Path, before: str, after: str) -> None:
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    def edit_proof(self, change: Callable[[dict[str, Any]], object]) -> None:
        proof = json.loads(self.proof.read_text())
        change(proof)
        self.proof.write_text(json.dumps(proof))


@pytest.fixture
def repository(project: Path, corral: Corral) -> Repository:
    return Repository(project, corral)


def test_a_proof_has_every_path_with_its_source_and_python_alone_verifies_it(repository: Repository):
    paths = json.loads(repository.proof.read_text())["paths"]
    assert [(path["tenant"], path["host"], path["reaches"], path["residency"]) for path in paths] == [
        ("house", "lab", ["eu-west-1"], [["eu", "us"], ["eu"]]),
        ("search", "bedrock", ["us-east-1", "us-east-2", "us-west-2"], [["eu", "us"]]),
        ("search", "lab", ["eu-west-1"], [["eu", "us"]]),
    ]
    assert [(path["source"], path["asOf"]) for path in paths if path["host"] == "lab"] == [("stack", None)] * 2
    script, arguments = verify_residency.__file__, (str(repository.proof), str(repository.root))
    command = [sys.executable, "-I", "-S", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        "proved: 3 paths of stack prod, each within the residency that it is under\n",
    )


Tamper = Callable[[Repository], None]
TAMPERED: dict[str, tuple[Tamper, str]] = {
    "a share of the stack": (
        lambda it: it.edit(it.stack, "{bedrock: 60, lab: 40}", "{bedrock: 60, deepinfra: 40}"),
        "llama-3.3-70b at deepinfra for search is in the files, and not so in the proof",
    ),
    "the regions of the catalog": (
        lambda it: it.edit(it.catalog / "hosts" / "bedrock.yaml", "us-west-2", "eu-west-1"),
        "catalog/hosts/bedrock.yaml is not the file that the proof was made from",
    ),
    "the places of the catalog": (
        lambda it: it.edit(it.catalog / "regions.yaml", "us-east-1,", "us-east-9,"),
        "may be processed in us-east-1, us-east-2, us-west-2, outside of [['eu', 'us']]",
    ),
    "a comment of the stack": (
        lambda it: it.edit(it.stack, "config:", "config: # harmless"),
        "stacks/Pulumi.prod.yaml is not the file that the proof was made from",
    ),
    "a path of the proof": (
        lambda it: it.edit_proof(lambda proof: proof["paths"][1].update(reaches=["us-east-1"])),
        "llama-3.3-70b at bedrock for search is in the proof, and not so in the files",
    ),
    "a path less": (
        lambda it: it.edit_proof(lambda proof: proof["paths"].pop()),
        "llama-3.3-70b at lab for search is in the files, and not so in the proof",
    ),
    "a file less": (
        lambda it: it.edit_proof(lambda proof: proof["files"].pop("catalog/regions.yaml")),
        "the proof is not made from catalog/regions.yaml",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_fails(what: str, repository: Repository, capsys: pytest.CaptureFixture[str]):
    tamper, problem = TAMPERED[what]
    tamper(repository)
    assert main([str(repository.proof), str(repository.root)]) == 1
    assert problem in capsys.readouterr().out


def test_what_cannot_be_read_is_not_proved(repository: Repository, capsys: pytest.CaptureFixture[str]):
    nowhere = str(repository.root / "nowhere")
    assert [main([str(repository.proof), nowhere]), main([nowhere, "."]), main([])] == [2, 2, 2]
    repository.proof.write_text("{}")
    assert main([str(repository.proof), str(repository.root)]) == 2
    assert capsys.readouterr().err.count("not proved: ") == 3


def test_a_path_that_leaves_its_residency_is_no_proof(project: Path, corral: Corral):
    (project / "stacks" / "Pulumi.prod.yaml").write_text(STACK.replace("residency: [us, eu]", "residency: [eu]"))
    done = corral("prove", "residency", "--stack", "prod")
    assert (done.status, done.err) == (
        1,
        "Outside of the residency, or where is not known: llama-3.3-70b at bedrock.\n",
    )
    (project / "proof.json").write_text(done.out)
    assert json.loads(done.out)["holds"] is False
    assert main([str(project / "proof.json"), str(project), str(CATALOG)]) == 1
