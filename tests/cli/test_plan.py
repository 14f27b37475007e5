"""`corral plan`, `corral explain` and `corral schema`: what is read of a stack without serving it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cli.conftest import STACK, Corral, Outcome

REFUSED = """\
config:
  corral:hosts: {groq: {}, deepinfra: {}}
  corral:models:
    llama-4-scout: {shares: {groq: 100}, fallback: [deepinfra]}
"""


@pytest.mark.usefixtures("project")
def test_the_plan_is_a_table_with_every_finding(corral: Corral):
    said = corral("plan")
    lines = said.out.splitlines()
    assert (said.status, said.err) == (0, "")
    assert lines[0].startswith("local on the local engine, plan ")
    assert lines[2].split("  ")[0] == "MODEL"
    rows = {line.split()[1]: line.split() for line in lines[3:] if "100%" in line}
    assert rows["groq"][:3] == ["m", "groq", "100%"]
    assert rows["groq"][5] == "groq-m,"
    assert rows["deepinfra"][:3] == ["llama-3.3-70b", "deepinfra", "100%"]
    assert [line for line in lines if line.startswith("warning price/m/groq: the price of m at groq is unknown; ")]
    assert (
        "Whether the hosts of llama-3.3-70b and m carry the busiest minute is not reckoned: give it, "
        "corral:models.<model>.peak; `corral usage` has the requests and tokens of a minute."
    ) in " ".join(lines)


@pytest.mark.parametrize("verb", ["plan", "verify"])
def test_files_that_the_stack_names_and_are_not_there_are_said_with_their_lines(
    corral: Corral, project: Path, verb: str
):
    (project / "stacks/Pulumi.files.yaml").write_text("""\
config:
  corral:hosts:
    lab: {kind: openai, url: "https://lab.example.com/v1", ca: lab.pem, models: {m: M}}
    elsewhere: {kind: openai, url: "https://llm.example.com/v1", ca: /nowhere/ca.pem, models: {m: M}}
  corral:models: {m: {shares: {lab: 50, elsewhere: 50}}}
  corral:tenants: {search: {claims: [search]}}
  corral:issuers: [{issuer: login, audiences: [llm], jwksFile: keys/login.json}]
""")
    stacks = project / "stacks"
    assert corral(verb, "-s", "files") == Outcome(
        2,
        "",
        f"stacks/Pulumi.files.yaml:3 corral:hosts.lab.ca: there is no file {stacks}/lab.pem: put it there, or correct "
        "the path\n"
        f"stacks/Pulumi.files.yaml:7 corral:issuers[0].jwksFile: there is no file {stacks}/keys/login.json: put it "
        "there, or correct the path\n",
    )


@pytest.mark.usefixtures("project")
def test_the_plan_as_json_is_the_plan_its_hash_and_its_findings(corral: Corral):
    said = corral("plan", "--json")
    document: dict[str, Any] = json.loads(said.out)
    assert (said.status, said.err) == (0, "")
    assert document.keys() == {"hash", "plan", "answering", "headroom", "month", "ramps", "findings"}
    assert set(document["plan"]) >= {"stack", "engine", "models", "requestSettings"}
    models = {model["name"]: model for model in document["plan"]["models"]}
    (target,) = models["m"]["targets"]
    assert {key: target[key] for key in ("host", "modelId", "weight", "priority", "url", "credential")} == {
        "host": "groq",
        "modelId": "groq-m",
        "weight": 100,
        "priority": 0,
        "url": "https://api.groq.com/openai/v1",
        "credential": {"header": "authorization", "ambient": False, "variable": "GROQ_API_KEY", "keyFile": None},
    }
    finding = next(each for each in document["findings"] if each["name"] == "price/m/groq")
    assert finding.keys() == {"level", "name", "message", "wayOut", "accepted"}


def test_a_peak_is_shown_with_who_carries_it_and_what_is_lost_with_a_host(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        """\
config:
  corral:hosts: {groq: {limits: {tokensPerMinute: 90k}}, deepinfra: {limits: {tokensPerMinute: 50k}}}
  corral:models:
    llama-3.3-70b: {shares: {groq: 60, deepinfra: 40}, peak: {tokensPerMinute: 100k}}
"""
    )
    said = corral("plan")
    assert said.status == 1
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    first = lines.index("PEAK OF HOST GETS TAKES USED")
    assert lines[first : first + 8] == [
        "PEAK OF HOST GETS TAKES USED",
        "llama-3.3-70b deepinfra 40,000 tokens/min 50,000 tokens/min 80%",
        "groq 60,000 tokens/min 90,000 tokens/min 67%",
        "PEAK OF LOST UNSERVED CARRIED",
        "llama-3.3-70b nothing nothing yes deepinfra 40,000 tokens/min, groq 60,000 tokens/min",
        "deepinfra 10,000 tokens/min no groq 90,000 tokens/min",
        "groq 50,000 tokens/min no deepinfra 50,000 tokens/min",
        "A region is lost with its hosts alone here: a gateway in it is lost as well.",
    ]


@pytest.mark.usefixtures("project")
def test_the_same_stack_has_the_same_hash(corral: Corral):
    assert corral("plan", "--json") == corral("plan", "--json")


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "--json")], ids=" ".join)
def test_a_plan_with_errors_is_shown_and_ends_with_status_1(corral: Corral, project: Path, arguments: tuple[str, ...]):
    (project / "stacks" / "Pulumi.local.yaml").write_text(REFUSED)
    said = corral(*arguments)
    assert (said.status, said.err) == (1, "")
    assert "lifecycle/llama-4-scout/groq" in said.out


def test_a_plan_with_errors_is_not_served(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(REFUSED)
    said = corral("serve", "--simulate")
    assert (said.status, said.out) == (1, "")
    assert [line.split(":")[:2] for line in said.err.splitlines()] == [
        ["stacks/Pulumi.local.yaml", " error lifecycle/llama-4-scout/groq"]
    ]


def test_an_accepted_warning_is_marked(corral: Corral, project: Path):
    accepted = STACK + "  corral:accept: [price/m/groq]\n"
    (project / "stacks" / "Pulumi.local.yaml").write_text(accepted)
    assert "warning (accepted) price/m/groq: " in corral("plan").out


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "--json")], ids=" ".join)
def test_a_plan_is_a_function_of_the_files_alone(
    corral: Corral, project: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
):
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK + "  corral:engine: {simulate: withoutKey}\n")
    without = corral(*arguments)
    monkeypatch.setenv("GROQ_API_KEY", "sk-never-shown")
    assert corral(*arguments) == without
    assert "sk-never-shown" not in without.out


@pytest.mark.usefixtures("project")
def test_a_model_is_explained_in_words(corral: Corral):
    said = corral("explain", "m")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("m in stack local, on the local engine\n")
    assert "groq-m" in said.out


@pytest.mark.usefixtures("project")
def test_an_unknown_model_is_told_with_the_nearest_name(corral: Corral):
    assert corral("explain", "llama-3.3-70", "--stack", "prod") == Outcome(
        1,
        "",
        "stacks/Pulumi.prod.yaml has no model 'llama-3.3-70': did you mean llama-3.3-70b? Valid are llama-3.3-70b, m\n",
    )


def test_the_schema_goes_where_it_is_told_and_takes_the_stack(corral: Corral, project: Path):
    printed = corral("schema", "-o", "-")
    assert (printed.status, printed.err) == (0, "")
    assert corral("schema") == Outcome(0, f"wrote {project}/stacks/schema.json\n", "")
    assert corral("schema", "--output", "mine.json") == Outcome(0, "wrote mine.json\n", "")
    assert (project / "mine.json").read_text() == (project / "stacks" / "schema.json").read_text() == printed.out
    jsonschema.validate(yaml.safe_load(STACK), json.loads(printed.out))


@pytest.mark.usefixtures("project")
def test_a_schema_that_cannot_be_written_is_told(corral: Corral):
    assert corral("schema", "-o", "absent/schema.json") == Outcome(
        1, "", "absent/schema.json cannot be written: No such file or directory.\n"
    )


def test_the_stairs_of_a_ramp_are_shown_with_their_cost_and_who_carries_the_peak(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        """\
config:
  corral:hosts: {together: {limits: {tokensPerMinute: 90k}}, deepinfra: {limits: {tokensPerMinute: 90k}}}
  corral:models:
    llama-3.3-70b: {shares: {together: 100, deepinfra: 0}, peak: {tokensPerMinute: 80k}, volume: 1M}
  corral:ramps: {llama-3.3-70b: {to: {deepinfra: 40}, step: 20}}
"""
    )
    said = corral("plan")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    first = lines.index("RAMP OF STAIR IN $/M OUT $/M CARRIED")
    assert lines[first + 1 : first + 4] == [
        (
            "llama-3.3-70b deepinfra 0%, together 100% $0.88 $0.88 no $0.88 to $0.88 a month; "
            "lost/llama-3.3-70b/together; now"
        ),
        "deepinfra 20%, together 80% $0.73 $0.784 yes $0.73 to $0.78 a month",
        "deepinfra 40%, together 60% $0.58 $0.688 yes $0.58 to $0.69 a month",
    ]
    document = json.loads(corral("plan", "--json").out)
    assert [stair["shares"]["deepinfra"] for stair in document["ramps"]] == [0, 20, 40]
