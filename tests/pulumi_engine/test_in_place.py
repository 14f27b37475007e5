"""A key or a certificate is changed in the object that holds it: it is never gone, not for a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trustme

from corral.testing import NEVER
from tests.pulumi_engine.project import Outcome, Project
from tests.pulumi_engine.stacks import Config

pytestmark = pytest.mark.engine

TENANTS = ("Secret", "gateway-tenants-secret")
PASSWORD = "corral:gateway:Gateway$corral:gateway:Tenants$random:index/randomPassword:RandomPassword::gateway-tenants"


def test_another_tenant_changes_the_tenants_secret_in_place(project: Callable[[str], Project]) -> None:
    there = project("kind")
    kept = len(there.managed())
    key = there.outputs()["keys"].value["default"]

    there.edit(lambda config: config["corral:tenants"].update(search={}))
    outcome = there.up()

    assert outcome.changes == {"same": kept - 1, "create": 1, "update": 1}
    assert _done(outcome) == {"create": [("RandomPassword", "gateway-tenants-search")], "update": [TENANTS]}
    keys = there.outputs()["keys"].value
    assert keys["default"] == key
    assert _data(there, TENANTS).keys() == keys.keys()


def test_another_key_for_a_tenant_changes_the_tenants_secret_in_place(project: Callable[[str], Project]) -> None:
    there = project("kind")
    key = there.outputs()["keys"].value["default"]

    outcome = there.up(f"urn:pulumi:kind::corral::{PASSWORD}-default")

    password = [("RandomPassword", "gateway-tenants-default")]
    assert _done(outcome) == {"create": password, "update": [TENANTS], "delete": password}
    assert there.outputs()["keys"].value["default"] != key


def test_another_key_for_a_host_changes_its_secret_in_place(project: Callable[[str], Project]) -> None:
    there = project("kind")
    others = len(there.managed()) - 1

    there.give_key("deepinfra", f"{NEVER}-second")
    outcome = there.up()

    secret = ("Secret", "gateway-secret/deepinfra")
    assert outcome.changes == {"same": others, "update": 1}
    assert _done(outcome) == {"update": [secret]}
    assert _data(there, secret) == {"apiKey": f"{NEVER}-second"}


def test_another_certificate_of_a_host_changes_its_config_map_in_place(
    project: Callable[[str], Project],
) -> None:
    there = project("kind")
    file = str(there.file.with_name("lab.pem"))
    trustme.CA().cert_pem.write_to_path(file)
    there.edit(_behind_a_private_authority)
    there.up()
    others = len(there.managed()) - 1

    trustme.CA().cert_pem.write_to_path(file)
    outcome = there.up()

    assert outcome.changes == {"same": others, "update": 1}
    assert _done(outcome) == {"update": [("ConfigMap", "gateway-authority/lab")]}


def _behind_a_private_authority(config: Config) -> None:
    """A host more, with a file of certificates of its own."""
    url, models = "https://llm.lab.example.com/v1", {"llama-3.3-70b": "Llama-3.3-70B"}
    config["corral:gateway"]["handover"] = "1ms"
    config["corral:hosts"]["lab"] = {"kind": "openai", "url": url, "models": models, "ca": "lab.pem"}
    config["corral:models"]["llama-3.3-70b"]["fallback"] = ["lab"]


def _done(outcome: Outcome) -> dict[str, list[tuple[str, str]]]:
    """Per verb kind and logical name of all to which it was done."""
    done = {verb: outcome.history.done(verb) for verb in ("create", "update", "delete")}
    return {verb: things for verb, things in done.items() if things}


def _data(project: Project, named: tuple[str, str]) -> dict[str, Any]:
    """What a secret was given."""
    (secret,) = (thing for thing in project.things() if (thing.kind, thing.name) == named)
    return secret.inputs["stringData"]
