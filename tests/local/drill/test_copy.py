from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corral.cli.project import load_servable_file
from corral.local.drill.copy import Door, TenantKeys, copied, rehearsed
from corral.local.placement import Address
from corral.local.source import Keys
from corral.plan.credentials import hash_of
from corral.plan.plan import Issuer, Limits
from tests.plan.world import LLAMA, build

STACK = """\
config:
  corral:engine: {address: 0.0.0.0, port: 9000, pagePort: 9001, simulate: never, ejectionTime: 500ms}
  corral:hosts:
    groq: {models: {m: groq-m}}
    lab: {kind: openai, url: "https://lab.example.com/v1", auth: none, models: {m: lab-m}}
  corral:models:
    m: {shares: {groq: 60, lab: 40}}
  corral:tenants: {search: {}}
"""


def test_times_are_shortened_and_never_prolonged():
    plan = build({LLAMA: {"shares": {"azure": 100}}})
    assert rehearsed(plan, {}).limits == Limits(1_000, 3_000, 10_000, 1_000, plan.limits.body_limit)
    quick = replace(plan, limits=Limits(50, 60, 70, 80, 90))
    assert rehearsed(quick, {}) == quick


def test_every_tenant_has_a_key_of_the_drill_alone_and_nobody_vouches_for_it():
    plan = build({LLAMA: {"shares": {"azure": 100}}}, tenants={"search": {"keys": [f"sha256:{'a' * 64}"]}})
    plan = replace(plan, issuers=(Issuer("https://login.example.com/", ("corral",), "https://x/keys", None, "sub"),))
    keys = TenantKeys()
    found = rehearsed(plan, keys)
    assert found.issuers == ()
    assert {tenant.name: tenant.keys for tenant in found.tenants} == {
        name: (hash_of(keys[name]),) for name in ("drill", "drill-limited", "search")
    }


def test_the_copy_calls_no_real_host_and_takes_free_ports_of_its_own(tmp_path: Path):
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(STACK)
    (tmp_path / "folder").mkdir()
    door = Door()
    door.port = 4_000
    copy = copied(file, tmp_path / "folder", load_servable_file, TenantKeys(), {"lab": door})
    desired = copy.desire(copy.load(), "always", Keys())
    settings = desired.loaded.settings
    assert (settings.address, settings.port, settings.page_port) == ("127.0.0.1", 0, 0)
    assert dict(copy.environment) == {}
    links = desired.links(5_000, Address(6_000, "the adapter's token"))
    assert {host: link.url for host, link in links.items()} == {
        "groq": "http://127.0.0.1:5000/groq/openai/v1",
        "lab": "http://127.0.0.1:4000/lab/v1",
    }
    assert door.behind == 5_000


def test_an_edit_of_the_copy_leaves_the_stack_as_it_is(tmp_path: Path):
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(STACK)
    (tmp_path / "folder").mkdir()
    copy = copied(file, tmp_path / "folder", load_servable_file, TenantKeys(), {})
    copy.save(STACK.replace("60", "40").replace(" 40}", " 60}"))
    assert file.read_text() == STACK
    assert copy.text() != STACK.encode()
    assert [path.name for path in copy.file.parent.iterdir()] == ["Pulumi.mine.yaml"]
