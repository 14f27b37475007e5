"""The page's answers: its files, its headers, and whom it turns away."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import pytest
from starlette.testclient import TestClient

from corral.local.page.feed import VIEWERS, Feed
from corral.local.page.server import HEADERS, page_app
from corral.local.page.watch import Watch
from tests.local.page.snapshots import START, snapshot
from tests.plan.world import LLAMA

STATIC = files("corral.local.page").joinpath("static")
LOOPBACK = "http://127.0.0.1:8081"


def client(feed: Feed | None = None) -> TestClient:
    watch = Watch("http://127.0.0.1:8080/v1")
    watch.observe(snapshot(0, Counter()))
    return TestClient(page_app(watch, feed or Feed(watch.state)), base_url=LOOPBACK)


@pytest.fixture
def page() -> TestClient:
    return client()


def test_the_page_is_its_own_files_and_nothing_else(page: TestClient):
    html = page.get("/")
    assert (html.status_code, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
    wanted = set(re.findall(r'(?:src|href)="([^"#][^"]*)"', html.text))
    for script in STATIC.iterdir():
        if script.name.endswith(".js"):
            wanted |= {f"/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert {path: page.get(path).status_code for path in wanted} == dict.fromkeys(wanted, 200)
    assert {file.name for file in STATIC.iterdir()} == {path.lstrip("/") for path in wanted} | {"index.html"}


def test_no_file_of_the_page_knows_another_origin():
    namespace = {"http://www.w3.org/2000/svg"}
    for file in STATIC.iterdir():
        assert set(
            re.findall(r"(?:https?:)?//[a-z][\w.:/]+", re.sub(r"^\s*//.*", "", file.read_text(), flags=re.MULTILINE))
        ) <= (namespace | {"//www.w3.org/2000/svg"}), file.name


def test_no_script_or_style_is_in_the_markup_and_no_script_writes_markup():
    html = STATIC.joinpath("index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html) == []
    for script in STATIC.iterdir():
        if script.name.endswith(".js"):
            assert (
                re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script.read_text()) == []
            )


@pytest.mark.parametrize("path", ["/", "/page.js", "/history?model=x", "/nowhere"])
def test_every_answer_is_guarded(page: TestClient, path: str):
    answer = page.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8081", 200),
        ("localhost", 200),
        ("LOCALHOST:4000", 200),
        ("[::1]:8081", 200),
        ("127.5.6.7", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.attacker.example:8081", 421),
        ("192.168.1.5:8081", 421),
        ("", 421),
        ("127.0.0.1:8081/", 421),
        ("user@127.0.0.1", 421),
    ],
)
def test_a_name_that_was_made_to_resolve_here_is_turned_away(page: TestClient, host: str, status: int):
    assert page.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_page_is_only_read(page: TestClient, method: str):
    answer = page.request(method, "/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ],
)
def test_another_site_s_page_gets_nothing_from_it(page: TestClient, headers: dict[str, str], status: int):
    assert page.get("/page.css", headers=headers).status_code == status


def test_the_history_of_a_model(page: TestClient):
    past = page.get("/history", params={"model": LLAMA}).json()
    assert past["declared"] == [[START, {"azure": 0, "bedrock": 60, "deepinfra": 40, "lab": 0}]]
    assert past["now"] > START
    assert page.get("/history", params={"model": "<script>"}).status_code == 204
    assert page.get("/history").status_code == 204


def test_there_is_an_end_to_how_many_may_watch():
    feed = Feed(dict)
    feed.viewers = VIEWERS
    assert client(feed).get("/events").status_code == 503
