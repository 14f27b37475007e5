"""Stack edits under load: what changes, changes at once, and nobody loses a request."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.local.gateway import TWO_HOSTS, Gateway, Load, chat, serving, until


def stack(**shares: int) -> dict[str, Any]:
    changed = copy.deepcopy(TWO_HOSTS)
    changed["corral:models"]["m"]["shares"] = shares
    return changed


@pytest.fixture
def gateway(project: Path) -> Iterator[Gateway]:
    with serving(project, stack(groq=60, deepinfra=40)) as gateway:
        yield gateway


def only(load: Load, host: str) -> None:
    """Waits until a hundred answers in a row come from one host."""

    def settled() -> bool:
        before = load.answered.copy()
        load.more(100)
        return (load.answered - before).keys() == {host} or bool(load.failures)

    until(settled, f"only {host} answers")


def test_a_move_under_load_takes_effect_and_loses_nothing(gateway: Gateway) -> None:
    with Load(gateway.url) as load:
        load.more(100)
        for shares in ({"groq": 10, "deepinfra": 90}, {"groq": 90, "deepinfra": 10}, {"groq": 50, "deepinfra": 50}):
            gateway.move(stack(**shares))
            before = load.answered.copy()
            load.more(300)
            seen = load.answered - before
            for host, share in shares.items():
                assert abs(100 * seen[host] / seen.total() - share) < 12, (shares, seen)
    assert load.failures == []
    assert "m: deepinfra 40% → 90%, groq 60% → 10%" in gateway.said()


def test_a_session_keeps_its_host_until_its_share_moves(project: Path) -> None:
    def kept(**shares: int) -> dict[str, Any]:
        config = stack(**shares)
        config["corral:models"]["m"]["affinity"] = {"header": "x-session-id"}
        return config

    def host(session: int) -> str:
        raw = gateway.client().chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], extra_headers={"x-session-id": str(session)}
        )
        return raw.headers["x-corral-host"]

    with serving(project, kept(groq=60, deepinfra=40)) as gateway:
        first, again = ([host(session) for session in range(40)] for _ in range(2))
        gateway.move(kept(groq=30, deepinfra=70))
        moved = [host(session) for session in range(40)]
    assert first == again
    assert {*first} == {"groq", "deepinfra"}
    assert {(old, new) for old, new in zip(first, moved, strict=True) if old != new} == {("groq", "deepinfra")}


def test_a_host_drained_from_100_to_0_and_back_loses_nothing(gateway: Gateway) -> None:
    with Load(gateway.url) as load, Load(gateway.url, stream=False, clients=1) as more:
        gateway.move(stack(groq=100, deepinfra=0))
        only(load, "groq")
        gateway.move(stack(groq=0, deepinfra=100))
        only(load, "deepinfra")
    assert load.failures + more.failures == []


def streams(gateway: Gateway, number: int, tokens: int) -> list[Any]:
    """Opens streams, and reads the first chunk of each."""
    opened = []
    for _ in range(number):
        chunks = iter(
            gateway.client().chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x " * tokens}], stream=True
            )
        )
        opened.append((next(chunks), chunks))
    return opened


def busy(gateway: Gateway, host: str) -> list[int]:
    """The requests under way at each cluster of a host; nothing where it has none."""
    return list(gateway.gauges(rf"^cluster\.host/{host}@.*upstream_rq_active$").values())


def finished(chunks: Any) -> bool:
    return [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_a_removed_host_finishes_its_streams_and_then_it_is_gone(gateway: Gateway) -> None:
    with gateway.control() as control:
        control.set_speed("groq", tokens_per_second=20)
    gateway.move(stack(groq=100, deepinfra=0))
    opened = streams(gateway, 6, tokens=200)
    without = stack(deepinfra=100)
    del without["corral:hosts"]["groq"]
    with Load(gateway.url) as load:
        gateway.move(without)
        only(load, "deepinfra")
        until(lambda: busy(gateway, "groq") == [6], "only the streams are left at the removed host")
        with ThreadPoolExecutor(len(opened)) as pool:
            assert all(pool.map(lambda stream: finished(stream[1]), opened))
        folder = Path(gateway.running.admin_socket).parent
        until(lambda: not list(folder.rglob("*groq*")), "the removed host's key is gone")
        assert "host/groq" not in (folder / "clusters.json").read_text()
    assert load.failures == []


def test_streams_outlive_moves_of_their_shares(gateway: Gateway) -> None:
    with gateway.control() as control:
        for host in ("groq", "deepinfra"):
            control.set_speed(host, tokens_per_second=20)
    opened = streams(gateway, 8, tokens=50)
    for shares in ({"groq": 0, "deepinfra": 100}, {"groq": 100, "deepinfra": 0}) * 3:
        gateway.move(stack(**shares))
    with ThreadPoolExecutor(len(opened)) as pool:
        assert all(pool.map(lambda stream: finished(stream[1]), opened))


def test_models_and_hosts_come_and_go_without_a_restart(gateway: Gateway) -> None:
    envoy = gateway.admin("/server_info")
    more = stack(groq=50, deepinfra=50)
    more["corral:hosts"]["lab"] = {"kind": "openai", "url": "https://llm.lab.example.com/v1", "models": {"n": "lab-n"}}
    more["corral:models"]["n"] = {"shares": {"lab": 100}}
    with Load(gateway.url) as load:
        assert chat(gateway.url, "n").status_code == 404
        gateway.move(more)
        assert chat(gateway.url, "n").headers["x-corral-host"] == "lab"
        load.more(50)
        gateway.move(stack(groq=50, deepinfra=50))
        assert chat(gateway.url, "n").status_code == 404
        load.more(50)
    assert load.failures == []
    assert pid(gateway.admin("/server_info")) == pid(envoy)


def pid(server_info: str) -> str:
    return next(line for line in server_info.splitlines() if "startup_epoch" in line or "uptime_all" in line).split(
        ":"
    )[0]


def test_the_id_of_a_model_at_a_host_can_change_under_load(gateway: Gateway) -> None:
    changed = stack(groq=60, deepinfra=40)
    changed["corral:hosts"]["groq"]["models"]["m"] = "groq-m-2"
    with Load(gateway.url) as load:
        load.more(100)
        gateway.move(changed)
        load.more(200)
    assert load.failures == []
    answers = {chat(gateway.url).headers["x-corral-host-model"] for _ in range(20)}
    assert answers == {"groq-m-2", "deepinfra-m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "config:\n  corral:hosts: {groq: {}}\n  corral:models:\n    m: {shares: {groq: 90}}\n",
            ":4 corral:models.m.shares",
        ),
        ("config: [", "Pulumi.test.yaml:"),
        ("", "Pulumi.test.yaml"),
        (
            "config:\n  corral:hosts: {groq: {}}\n  corral:models:\n    llama-4-scout: {shares: {groq: 100}}\n",
            "error lifecycle/llama-4-scout/groq",
        ),
    ],
)
def test_a_save_that_cannot_be_served_changes_nothing_and_says_why(gateway: Gateway, text: str, message: str) -> None:
    before = gateway.running
    gateway.file.write_text(text)
    until(lambda: "the last good plan serves on" in gateway.said(), "the refusal is said")
    assert message in gateway.said()
    assert "Traceback" not in gateway.said()
    with Load(gateway.url) as load:
        load.more(50)
    assert load.failures == []
    assert load.answered.keys() == {"groq", "deepinfra"}
    assert gateway.running == before
    gateway.move(stack(groq=100, deepinfra=0))
    assert {chat(gateway.url).headers["x-corral-host"] for _ in range(10)} == {"groq"}


def test_an_editor_that_saves_by_renaming_is_followed_too(gateway: Gateway) -> None:
    before = gateway.running
    kept = gateway.file.read_text()
    gateway.save(stack(groq=0, deepinfra=100))
    beside = gateway.file.with_suffix(".swap")
    beside.write_text(gateway.file.read_text())
    gateway.file.write_text(kept)
    beside.replace(gateway.file)
    until(lambda: gateway.running != before, "the stack is in force")
    until(lambda: {chat(gateway.url).headers["x-corral-host"] for _ in range(10)} == {"deepinfra"}, "it moved")
