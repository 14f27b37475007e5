"""The page of a running `corral serve`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from corral.local.page.server import listen
from corral.plan.credentials import hash_of
from tests.local.gateway import TWO_HOSTS, Gateway, Load, chat, serving, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEY = "sk-corral-0123456789abcdef-"


def config(shares: dict[str, int], **engine: Any) -> dict[str, Any]:
    return {
        **TWO_HOSTS,
        "corral:engine": {"simulate": "always", "pagePort": 0, **engine},
        "corral:models": {"m": {"shares": shares}},
    }


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with serving(tmp_path, config({"groq": 60, "deepinfra": 40})) as gateway:
        yield gateway


def events(url: str) -> Iterator[dict[str, Any]]:
    """The states that a viewer is sent."""
    with httpx.stream("GET", f"{url}events", timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def seen(viewer: Iterator[dict[str, Any]], holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first state of which this holds."""
    return next(state for state in viewer if holds(state))


def test_a_port_that_is_taken_gives_way_to_a_free_one():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listening = listen(port)
        with listening.socket:
            assert listening.taken == port
            assert listening.url not in (f"http://127.0.0.1:{port}/", "http://127.0.0.1:0/")


def test_the_page_of_a_stack_tells_its_requests_its_moves_and_ends_with_it(gateway: Gateway):
    running = gateway.running
    until(lambda: f"Watch it at {running.page_url}." in gateway.said(), "the page's URL is said")
    assert json.loads(gateway.run("status", "--json").stdout)["page"] == running.page_url
    assert running.page_url in gateway.run("status").stdout
    viewer = events(running.page_url)
    state = next(viewer)
    assert (state["stack"], set(state["models"]["m"]["hosts"])) == ("test", {"groq", "deepinfra"})
    for _ in range(8):
        assert chat(gateway.url).status_code == 200
    assert seen(viewer, lambda state: state["rps"])["models"]["m"]["rps"] > 0
    gateway.move(config({"groq": 10, "deepinfra": 90}))
    moved, broken = "deepinfra 40% → 90%, groq 60% → 10%", "groq is made to fail: 503"
    marks = seen(viewer, lambda state: state["marks"])["marks"]
    assert [mark["text"] for mark in marks.values()] == [moved]
    with gateway.control() as control:
        control.set_fault("groq", "503")
    marks = seen(viewer, lambda state: len(state["marks"]) > 1)["marks"]
    assert [mark["text"] for mark in marks.values()] == [moved, broken]
    assert gateway.end() == 0
    assert all(state["stack"] == "test" for state in viewer)


def test_the_page_of_a_stack_with_tenants_tells_what_each_of_them_does(tmp_path: Path):
    limits = {"one": {"requestsPerMinute": 2}, "two": {"concurrentRequests": 1}}
    tenants = {name: {"keys": [f"sha256:{hash_of(KEY + name)}"], **limit} for name, limit in limits.items()}
    with serving(tmp_path, {**config({"groq": 60, "deepinfra": 40}), "corral:tenants": tenants}) as gateway:
        viewer = events(gateway.running.page_url)
        state = seen(viewer, lambda state: "tenants" in state)
        assert {name: of.get("concurrent") for name, of in state["tenants"].items()} == {"one": None, "two": 1}
        completions = f"{gateway.url}/chat/completions"
        caller = {name: {"authorization": f"Bearer {KEY + name}"} for name in tenants}
        body = {"model": "m", "messages": [{"role": "user", "content": "word " * 40}]}
        answers = [httpx.post(completions, json=body, headers=caller["one"]) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        state = seen(viewer, lambda state: state["tenants"]["one"]["limited"])
        one = state["tenants"]["one"]
        assert (one["limited"], one["clientErrors"]) == ({"requests": 1}, 1)
        state = seen(viewer, lambda state: state["tenants"]["one"]["tps"])
        assert state["tenants"]["one"]["rps"] > 0
        with gateway.control() as control:
            for host in ("groq", "deepinfra"):
                control.set_speed(host, tokens_per_second=5)
        with httpx.stream("POST", completions, json={**body, "stream": True}, headers=caller["two"]):
            state = seen(viewer, lambda state: state["tenants"]["two"]["active"] == 1)
        seen(viewer, lambda state: state["tenants"]["two"]["active"] == 0)


def test_traffic_is_sent_to_simulated_hosts(tmp_path: Path):
    with serving(tmp_path, config({"groq": 60, "deepinfra": 40}), "--traffic") as gateway:
        answered = r"^corral\.requests\..*code\.200\."
        until(lambda: len(gateway.gauges(answered)) == 2, "both hosts have answered")
        assert gateway.end() == 0


GROQ = "() => parseFloat(document.querySelector('[aria-label=\"Share of groq\"] .fill').style.width) {}"


@pytest.mark.browser
def test_a_move_of_the_stack_file_is_seen(gateway: Gateway, chromium: Browser):
    watched = pytest.importorskip(
        "tests.local.page.watched", reason="Playwright is not installed", exc_type=ImportError
    )
    with Load(gateway.url, clients=1) as load, watched.opened(chromium, gateway.running.page_url) as page:
        load.more(200)
        page.get_by_text("declared 60%").wait_for()
        page.wait_for_function(GROQ.format("> 40"))
        gateway.move(config({"groq": 10, "deepinfra": 90}))
        load.more(200)
        page.get_by_text("declared 10%").wait_for()
        page.wait_for_function(GROQ.format("< 25"))
        page.locator(".timeline .mark.move").wait_for(state="attached")
        page.locator(".timeline .area").first.wait_for(state="attached")
    assert load.failures == []
