"""Real hosts, over TLS and with a key: a server of this test's own stands where somebody's LLM server would."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.local.gateway import Gateway, Load, chat, serving, until
from tests.local.real_host import RealHost, real_host

KEY, OTHER_KEY = "sk-the-lab-s-own-key", "sk-somebody-else-s-key"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test says itself which keys there are."""
    monkeypatch.delenv("LAB_API_KEY", raising=False)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHost]:
    """A real host that wants KEY."""
    with real_host(tmp_path_factory.mktemp("lab"), KEY) as host:
        yield host


def stack(lab: RealHost, fallback: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """The lab serves `m`; groq, which is simulated, stands behind it if it is asked to."""
    return {
        "corral:engine": {"simulate": "withoutKey"},
        "corral:hosts": {
            "lab": {
                "kind": "openai",
                "url": lab.url,
                "ca": lab.ca,
                "models": {"m": "Lab-M"},
                **more,
            },
            "groq": {"models": {"m": "groq-m"}},
        },
        "corral:models": {"m": {"shares": {"lab": 100}, "fallback": list(fallback)}},
    }


def told(gateway: Gateway) -> str:
    """All that Corral and Envoy say to anybody."""
    status, verify = gateway.run("status", "--json"), gateway.run("verify")
    return "".join(
        [
            gateway.said(),
            *(status.stdout, status.stderr, verify.stdout, verify.stderr),
            *(gateway.admin(path) for path in ("/config_dump?include_eds", "/clusters", "/stats", "/listeners")),
        ]
    )


def simulated(gateway: Gateway) -> dict[str, str | None]:
    """Per host why it is simulated."""
    models = json.loads(gateway.run("status", "--json").stdout)["models"]
    return {host["host"]: host["simulated"] for model in models for host in model["hosts"]}


def test_a_real_host_is_served_with_its_own_key_name_and_path_and_verified(
    lab: RealHost, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    beside_the_stack_file = os.path.relpath(lab.folder / "ca.pem", project / "stacks")
    with serving(project, stack(lab, ca=beside_the_stack_file)) as gateway:
        answer = gateway.client().chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        assert answer.choices[0].message.content == "lab (simulated) answers as Lab-M: hello"
        assert lab.names[-1] == "localhost"
        asked = lab.requests[-1]
        assert (asked["host"], asked["authorization"]) == (f"localhost:{lab.port}", f"Bearer {KEY}")
        assert [name for name in asked if name.startswith(("x-corral", "x-envoy", "x-forwarded"))] == []
        assert simulated(gateway) == {"lab": None}
        verdict = gateway.run("verify", "--json")
        assert (verdict.returncode, json.loads(verdict.stdout)) == (
            0,
            [
                {
                    "model": "m",
                    "host": "lab",
                    "modelId": "Lab-M",
                    "outcome": "allowed",
                    "why": "in its list of models",
                }
            ],
        )
        assert KEY not in told(gateway)


def test_a_key_is_asked_for_and_a_host_without_one_gets_none(tmp_path: Path, project: Path):
    with real_host(tmp_path, None) as lab, serving(project, stack(lab, auth="none")) as gateway:
        assert gateway.client().models.list()
        assert chat(gateway.url).status_code == 200
        assert "authorization" not in lab.requests[-1]
        assert simulated(gateway) == {"lab": None}


@pytest.mark.parametrize(
    ("name", "why"),
    [("localhost", "not trusted"), ("another.example", "not for localhost")],
    ids=["another authority", "another name"],
)
def test_a_host_whose_certificate_is_not_the_one_expected_gets_no_request(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    with real_host(tmp_path, KEY, name) as lab:
        if name == "localhost":
            trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with serving(project, stack(lab)) as gateway:
            for _ in range(6):
                answer = chat(gateway.url)
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_host_left")
            until(lambda: "lab is left out of m: it failed five times in a row." in gateway.said(), "it is said")
            said = told(gateway)
            assert f"its TLS certificate is {why}" in said
            assert KEY not in said
            assert lab.requests == []


def test_a_wrong_key_is_said_loudly_and_another_host_answers(
    lab: RealHost, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_API_KEY", OTHER_KEY)
    with serving(project, stack(lab, ("groq",))) as gateway:
        with Load(gateway.url, clients=1) as load:
            load.more(20)
        assert (load.failures, load.answered.keys()) == ([], {"groq"})
        said = "lab REFUSES OUR KEY for m: HTTP 401 (is the one in LAB_API_KEY right?)."
        until(lambda: f"{said} Its requests go to the other hosts." in gateway.said(), "it is said")
        everything = told(gateway)
        assert "it refuses the key (HTTP 401)" in everything
        assert OTHER_KEY not in everything


def test_a_change_of_key_variable_is_a_change_of_key_at_once(
    lab: RealHost, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_KEY_OF_LAST_YEAR", OTHER_KEY)
    monkeypatch.setenv("LAB_KEY", KEY)
    with serving(project, stack(lab, ("groq",), keyVariable="LAB_KEY_OF_LAST_YEAR")) as gateway:
        assert chat(gateway.url).headers["x-corral-host"] == "groq"
        with Load(gateway.url) as load:
            gateway.move(stack(lab, ("groq",), keyVariable="LAB_KEY"))
            until(lambda: load.answered["lab"] > 100 or load.failures, "the lab answers")
        assert load.failures == []
        assert chat(gateway.url).headers["x-corral-host"] == "lab"


def test_a_key_that_stands_anew_in_its_file_is_taken_at_once(lab: RealHost, project: Path):
    file = project.parent / "lab.key"
    file.write_text(f"{OTHER_KEY}\n")
    with serving(project, stack(lab, ("groq",), keyFile="../../lab.key")) as gateway:
        assert chat(gateway.url).headers["x-corral-host"] == "groq"
        until(lambda: "is the one in the file ../../lab.key right?" in gateway.said(), "where to look is said")
        assert "give it a valid one" in gateway.run("verify").stdout
        with Load(gateway.url) as load:
            file.write_text(f"{KEY}\n")
            until(lambda: load.answered["lab"] > 100 or load.failures, "the lab answers")
        assert load.failures == []
        assert {KEY, OTHER_KEY} & set(told(gateway).split()) == set()


BEFORE = """\
config:
  corral:engine: {simulate: withoutKey}
  corral:hosts:
    groq: {models: {m: groq-m}}
  corral:models:
    m: {shares: {groq: 100}}
"""
LAB = """\
    lab:
      kind: openai
      url: URL
      ca: CA
      models: {m: Lab-M}
"""


def test_a_token_of_entra_is_renewed_before_it_expires(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch):
    """The Azure CLI that stands here gives out a token that is good for a while, and another one each time."""
    command, count = tmp_path / "az", tmp_path / "count"
    script = f"""#!/bin/sh
echo x >> {count}
echo "{{\\"accessToken\\": \\"token-$(wc -l < {count} | tr -d ' ')\\", \\"expires_on\\": $(($(date +%s) + 6))}}"
"""
    command.write_text(script)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with real_host(tmp_path, None) as lab:
        tokens = stack(lab, kind="azure", auth="entra")
        with serving(project, tokens) as gateway:
            assert chat(gateway.url).status_code == 200
            assert lab.requests[-1]["authorization"] == "Bearer token-1"
            assert "api-key" not in lab.requests[-1]

            def renewed() -> bool:
                assert chat(gateway.url).status_code == 200
                return lab.requests[-1]["authorization"] != "Bearer token-1"

            until(renewed, "another token is sent")
            assert "token-" not in told(gateway)


def test_a_host_of_one_s_own_is_five_lines_and_gets_its_share_of_a_stack_that_serves(
    lab: RealHost, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    assert LAB.count("\n") == 5
    five_lines = LAB.replace("URL", lab.url).replace("CA", lab.ca)
    with serving(project, yaml.safe_load(BEFORE)["config"]) as gateway, Load(gateway.url) as load:
        load.more(50)
        before = gateway.running
        after = BEFORE.replace("  corral:models", five_lines + "  corral:models")
        gateway.file.write_text(after.replace("{groq: 100}", "{groq: 50, lab: 50}"))
        until(lambda: gateway.running != before, "the lab is in force")
        answered = load.answered.copy()
        load.more(400)
        share = 100 * (load.answered - answered)["lab"] / (load.answered - answered).total()
        assert (load.failures, 38 < share < 62) == ([], True), share


def test_a_host_with_a_key_is_simulated_only_when_that_is_asked_for(
    lab: RealHost, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    before = len(lab.requests)
    with serving(project, stack(lab), "--simulate") as gateway:
        assert chat(gateway.url).status_code == 200
        assert simulated(gateway) == {"lab": "asked for"}
    assert len(lab.requests) == before


def test_status_tells_what_is_in_force_whatever_its_own_shell_and_the_stack_file_hold(lab: RealHost, project: Path):
    with serving(project, stack(lab), environment={"LAB_API_KEY": KEY}) as gateway:
        gateway.file.write_text("config: {}")
        until(lambda: "the last good plan serves on" in gateway.said(), "the refusal is said")
        chat(gateway.url)
        (model,) = json.loads(gateway.run("status", "--json").stdout)["models"]
        (host,) = model["hosts"]
        assert (model["model"], host["host"], host["declared"], host["simulated"], host["requests"]) == (
            "m",
            "lab",
            100,
            None,
            1,
        )


def test_a_host_without_a_key_is_simulated_where_the_stack_says_so(lab: RealHost, project: Path):
    before = len(lab.requests)
    with serving(project, stack(lab)) as gateway:
        assert chat(gateway.url).status_code == 200
        assert simulated(gateway) == {"lab": "no key in LAB_API_KEY"}
    assert len(lab.requests) == before


NO_KEY = """\
These hosts cannot be reached from this machine:
  lab: no key in LAB_API_KEY; set LAB_API_KEY, or rehearse with --simulate
"""
NO_FILE = "corral:hosts.lab.ca names {stacks}/absent.pem, which is not a file.\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({}, NO_KEY), ({"auth": "none", "ca": "absent.pem"}, NO_FILE)],
    ids=["no key", "no certificate file"],
)
def test_a_host_that_must_be_real_and_cannot_be_is_refused_with_the_way_out(
    lab: RealHost, project: Path, changes: dict[str, Any], message: str
):
    gateway = Gateway(project, "test")
    gateway.file.parent.mkdir(parents=True)
    gateway.save({**stack(lab, **changes), "corral:engine": {"simulate": "never", "port": 0}})
    said = gateway.run("serve")
    assert (said.returncode, said.stdout, said.stderr) == (1, "", message.format(stacks=gateway.file.parent))
