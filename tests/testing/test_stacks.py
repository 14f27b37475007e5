"""A stack file under test: its plan, its own program on the mocks, edits of its shares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from corral.testing import (
    INVOKE_RESULTS,
    NEVER,
    Secret,
    any_shares,
    errors,
    processed_outside,
    read_plan,
    run_stack,
    touched_besides_routes,
)
from corral.testing import stacks as testing_stacks

EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"
KIND = EXAMPLES / "Pulumi.kind.yaml"


def edited(folder: Path, old: str, new: str, example: Path = KIND) -> Path:
    """An example of a stack with an edit, in the folder."""
    text = example.read_text()
    assert old in text
    file = folder / example.name
    file.write_text(text.replace(old, new))
    return file


def test_a_stack_of_which_a_plan_would_be_refused_has_errors(tmp_path: Path):
    assert errors(KIND) == []
    error, *_ = errors(edited(tmp_path, "corral:accept: []", "corral:residency: [eu]").as_posix())
    assert error.startswith("error residency/llama-3.3-70b/")


def test_what_is_processed_elsewhere_or_nobody_knows_where_is_outside():
    plan = read_plan(EXAMPLES / "Pulumi.staging.yaml")
    assert processed_outside(plan, "us") == [
        "llama-3.3-70b at deepinfra: unknown",
        "llama-4-maverick at deepinfra: unknown",
    ]
    assert processed_outside(plan, "us-east-1", "us-east-2")[0] == "llama-3.3-70b at bedrock: us-west-2"


def test_a_drained_host_processes_nothing(tmp_path: Path):
    plan = read_plan(edited(tmp_path, "{vllm: 90, deepinfra: 10}", "{vllm: 0, deepinfra: 100}"))
    assert processed_outside(plan, "eu") == ["llama-3.3-70b at deepinfra: unknown"]


@pytest.mark.parametrize("seed", range(20))
def test_an_edit_gives_the_hosts_of_each_model_all_of_its_traffic(seed: int):
    plan = read_plan(EXAMPLES / "Pulumi.prod.yaml")
    shares = any_shares(plan, seed)
    assert {model: set(of_model) for model, of_model in shares.items()} == {
        "llama-3.3-70b": {"azure", "bedrock", "vllm"},
        "llama-4-maverick": {"azure", "bedrock"},
    }
    assert {sum(of_model.values()) for of_model in shares.values()} == {100}
    assert shares == any_shares(plan, seed)


def test_what_an_edit_touches_besides_routes_is_named(monkeypatch: pytest.MonkeyPatch):
    def with_a_copy_of_the_shares(_: Path) -> None:
        models = pulumi.Config("corral").require_object("models")
        for model, of_model in models.items():
            shares = {host: str(share) for host, share in of_model["shares"].items()}
            kubernetes.core.v1.ConfigMap("shares", metadata={"name": "shares"}, data=shares)
            kubernetes.core.v1.ConfigMap(f"{model}-{shares['vllm']}", metadata={"name": "one"})

    monkeypatch.setattr(testing_stacks, "deploy", with_a_copy_of_the_shares)
    testing_stacks._before.cache_clear()  # pyright: ignore[reportPrivateUsage]
    config_map = "kubernetes:core/v1:ConfigMap"
    assert touched_besides_routes(KIND, {"llama-3.3-70b": {"vllm": 80, "deepinfra": 20}}) == [
        f"{config_map} llama-3.3-70b-80",
        f"{config_map} llama-3.3-70b-90",
        f"{config_map} shares: data.deepinfra",
        f"{config_map} shares: data.vllm",
    ]
    testing_stacks._before.cache_clear()  # pyright: ignore[reportPrivateUsage]


PROGRAM = """\
import pulumi
import pulumi_aws as aws

import own
from corral import deploy

deploy()
pulumi.export("zone", aws.route53.get_zone(name=pulumi.Config("app").require("zone")).zone_id)
pulumi.export("greeting", own.GREETING)
"""


def test_the_program_beside_the_file_is_run_with_what_is_in_it_besides(tmp_path: Path):
    file = edited(tmp_path, "llama", "llama")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "own.py").write_text('GREETING = "hello"\n')
    here = Path.cwd()
    zone = {"aws:route53/getZone:getZone": lambda args: {"id": "z", "zoneId": f"zone-{args['name']}"}}
    world = run_stack(file, config={"app:zone": "example.com"}, invoke_results=INVOKE_RESULTS | zone)
    assert (world.outputs["zone"], world.outputs["greeting"]) == ("zone-example.com", "hello")
    assert [type(key) for key in world.outputs["keys"].values()] == [Secret]
    assert Path.cwd() == here
    assert "gateway" in {resource.name for resource in world.resources}


def test_a_program_that_shows_a_key_of_the_stack_fails(tmp_path: Path):
    file = edited(tmp_path, "llama", "llama")
    (tmp_path / "__main__.py").write_text(
        "import json, pulumi\n"
        'keys = json.loads(pulumi.runtime.get_config("corral:keys"))\n'
        'pulumi.export("key", keys["deepinfra"])\n'
    )
    with pytest.raises(AssertionError, match=r"a secret stands in the open in outputs, at key$"):
        run_stack(file)


def test_a_stack_that_the_program_refuses_is_refused(tmp_path: Path):
    with pytest.raises(pulumi.RunError, match=r"residency/llama-3\.3-70b/"):
        run_stack(edited(tmp_path, "corral:accept: []", "corral:residency: [eu]"))


def test_a_stack_for_one_machine_registers_nothing():
    assert run_stack(EXAMPLES / "Pulumi.local.yaml").resources == ()


WITHOUT_EXTRAS = """
import sys
sys.modules.update(dict.fromkeys(("pytest", "hypothesis", "jsonschema", "kubernetes_validate")))
from corral.testing import run_stack
print(*run_stack(sys.argv[1]).unchecked, sep="\\n")
"""


def test_neither_pytest_nor_schemas_are_needed_and_what_is_not_checked_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CORRAL_CRDS")
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, str(KIND)],
        cwd=Path(__file__).parents[2] / "components",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert {"v1/Secret", "apps/v1/Deployment", "aigateway.envoyproxy.io/v1beta1/AIGatewayRoute"} <= set(
        ended.stdout.splitlines()
    )
    assert NEVER not in ended.stdout + ended.stderr
