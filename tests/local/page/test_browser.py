"""The page in a headless Chromium, as a person uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.page.snapshots import MOVED, PLAN, members, requests
from tests.local.page.stage import Stage
from tests.plan.world import LLAMA, build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOCUSED = """() => {
  const at = document.activeElement;
  return [at.id || at.className.baseVal || at.tagName, at === document.body ? "" : getComputedStyle(at).outlineStyle];
}"""

pytestmark = pytest.mark.browser
watched = pytest.importorskip("tests.local.page.watched", reason="Playwright is not installed", exc_type=ImportError)


@pytest.fixture
def stage() -> Iterator[Stage]:
    on = Stage()
    with on.served():
        on.counters += requests("bedrock", 61) + requests("deepinfra", 39)
        on.observe()
        yield on


@pytest.fixture
def page(chromium: Browser, stage: Stage) -> Iterator[Page]:
    with watched.opened(chromium, stage.url) as page:
        yield page


def share(page: Page, host: str) -> str | None:
    return page.get_by_role("meter", name=f"Share of {host}").get_attribute("aria-valuetext")


def width(page: Page, host: str) -> str:
    return page.get_by_role("meter", name=f"Share of {host}").locator(".fill").evaluate("bar => bar.style.width")


def dark(page: Page) -> bool:
    return page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 27)"


def test_a_model_s_declared_shares_stand_beside_the_observed_ones(page: Page):
    page.get_by_role("heading", name=LLAMA).wait_for()
    assert {host: share(page, host) for host in ("bedrock", "deepinfra", "azure", "lab")} == {
        "bedrock": "61% observed, declared 60%",
        "deepinfra": "39% observed, declared 40%",
        "azure": "0% observed, drained",
        "lab": "0% observed, fallback",
    }


def test_a_move_changes_the_bar_and_is_marked_on_the_timeline(page: Page, stage: Stage):
    page.get_by_role("heading", name=LLAMA).wait_for()
    assert width(page, "bedrock") == "61%"
    stage.plan = MOVED
    stage.show()
    stage.counters += requests("bedrock", 12) + requests("deepinfra", 88)
    stage.show()
    page.get_by_text("12%, declared 10%").wait_for()
    assert width(page, "bedrock") == "12%"
    page.locator(".timeline .mark.move").wait_for(state="attached")
    assert "bedrock 60% → 10%, deepinfra 40% → 90%" in page.locator("#marks li").first.inner_text()
    assert page.locator("#announce").inner_text() == f"{LLAMA}: bedrock 60% → 10%, deepinfra 40% → 90%"


def test_a_fault_and_an_ejection_are_told_in_words_and_marked(page: Page, stage: Stage):
    stage.faults, stage.ejected = {"bedrock": "503"}, members("bedrock")
    stage.show()
    page.get_by_text("⚠ bedrock is left out; bedrock is made to fail (503)").wait_for()
    page.get_by_text("▼ ejected").wait_for()
    for kind in ("fault", "ejected"):
        page.locator(f".timeline .mark.{kind}").wait_for(state="attached")
    stage.faults, stage.ejected = {}, members()
    stage.show()
    page.locator(".trouble").wait_for(state="hidden")
    texts = page.locator("#marks li").all_inner_texts()
    assert [re.sub(r"^[\d:]+ ", "", text) for text in texts] == [
        "bedrock is well again",
        f"{LLAMA}: bedrock is back",
        "bedrock is made to fail: 503",
        f"{LLAMA}: bedrock is left out",
    ]


def test_a_timeline_is_read_point_by_point_with_the_keyboard(page: Page, stage: Stage):
    stage.counters += requests("bedrock", 10)
    stage.show()
    line = page.get_by_role("slider", name=f"Timeline of {LLAMA}, the last 5 minutes")
    line.focus()
    page.wait_for_function("line => line.getAttribute('aria-valuetext').includes('bedrock')", arg=line.element_handle())
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert re.match(r"(now|.* ago): bedrock [\d.]+%", page.locator(".readout").inner_text())
    page.keyboard.press("Home")
    assert re.match(r".*: bedrock [\d.]+%", line.get_attribute("aria-valuetext") or "")
    line.blur()
    assert page.locator(".readout").inner_text() == ""


def test_everything_can_be_reached_with_the_keyboard(page: Page):
    page.get_by_role("heading", name=LLAMA).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the models"
    reached: list[str] = []
    for _ in range(14):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUSED)
        reached.append(name)
        assert outline != "none", reached
    assert {"view-cards", "view-table", "theme", "search", "order", "trouble", "timeline", "SUMMARY"} <= set(reached)


def test_letters_are_keys_and_can_be_turned_off(page: Page):
    page.get_by_role("heading", name=LLAMA).wait_for()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.querySelector('h2').textContent") == LLAMA
    page.keyboard.press("v")
    page.get_by_role("table").wait_for()
    page.keyboard.press("v")
    page.keyboard.press("/")
    page.keyboard.type("nothing like it")
    page.get_by_text("No model is like that.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name=LLAMA).wait_for()
    page.get_by_text("Keys", exact=True).click()
    page.get_by_label("letters are keys").uncheck()
    page.keyboard.press("v")
    assert page.get_by_role("table").count() == 0


def test_the_table_says_what_the_charts_show_and_changes_with_it(page: Page, stage: Stage):
    page.get_by_role("button", name="Table").click()
    heads = page.get_by_role("columnheader").all_inner_texts()
    assert heads == [
        *("Model, host", "Declared", "Observed", "Requests/s", "Tokens/s", "p50", "p99", "First byte"),
        *("Failed attempts", "Server errors", "Client errors", "Cost/hour", "At the peak", "Ejected", "State"),
    ]
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="bedrock"))
    cells = dict(zip(heads, [cell.inner_text() for cell in row.locator("th, td").all()], strict=True))
    want = {"Model, host": "bedrock", "Declared": "60%", "Observed": "61%", "Requests/s": "61", "State": "✓ ok"}
    assert {name: cells[name] for name in want} == want
    stage.ejected = members("bedrock")
    stage.show()
    row.get_by_text("▼ ejected").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_until_a_theme_is_chosen(chromium: Browser, stage: Stage, scheme: Any):
    with watched.opened(chromium, stage.url, color_scheme=scheme) as page:
        assert dark(page) == (scheme == "dark")
        button = page.get_by_role("button", name="Theme")
        seen: list[tuple[str, bool]] = []
        for _ in range(3):
            button.click()
            seen.append((button.inner_text(), dark(page)))
        assert seen == [("Theme: light", False), ("Theme: dark", True), ("Theme: system", scheme == "dark")]
        page.keyboard.press("t")
        page.keyboard.press("t")
        page.reload()
        page.get_by_text("● live").wait_for()
        assert dark(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_drawings_have_contrast(chromium: Browser, stage: Stage, scheme: Any):
    stage.faults, stage.ejected = {"bedrock": "503"}, members("deepinfra")
    stage.observe()
    with watched.opened(chromium, stage.url, color_scheme=scheme) as page:
        page.get_by_role("heading", name=LLAMA).wait_for()
        for details in page.locator("summary").all():
            details.click()
        contrasts = page.evaluate(watched.CONTRAST)
        page.keyboard.press("v")
        contrasts += page.evaluate(watched.CONTRAST)
    assert len([one for one in contrasts if one[0] == "text"]) > 60
    assert [one for one in contrasts if one[2] < (4.5 if one[0] == "text" else 3)] == []


def test_everything_has_a_name_for_those_who_cannot_see_it(page: Page):
    page.get_by_role("heading", name=LLAMA).wait_for()
    want = {
        "wanting": [], "lost": [], "orphans": 0, "cells": 0, "twice": [], "headings": [1, "H1"], "language": "en",
        "title": True,
    }  # fmt: skip
    assert page.evaluate(watched.NAMES) == want
    page.keyboard.press("v")
    assert page.evaluate(watched.NAMES) == want


def test_hosts_are_told_apart_without_colour(page: Page):
    page.get_by_role("heading", name=LLAMA).wait_for()
    patterns = page.locator(".hosts .fill").evaluate_all(
        "bars => bars.map(bar => getComputedStyle(bar).backgroundImage)"
    )
    assert len(set(patterns)) == len(patterns) == 4


def test_nothing_moves_for_those_who_asked_for_that(chromium: Browser, stage: Stage):
    with watched.opened(chromium, stage.url, reduced_motion="reduce") as page:
        page.get_by_role("heading", name=LLAMA).wait_for()
        assert page.locator(".fill").first.evaluate("bar => getComputedStyle(bar).transitionProperty") == "none"


def test_a_connection_that_was_lost_is_said_and_made_again(chromium: Browser, stage: Stage):
    with watched.opened(chromium, stage.url, provoked="net::ERR_FAILED") as page:
        page.route("**/events", lambda route: route.abort())
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_text("◌ the connection is lost; trying again").wait_for()
        page.unroute("**/events")
        stage.counters += requests("bedrock", 39)
        stage.show()
        page.get_by_text("● live").wait_for()
        page.get_by_text("71.9%, declared 60%").wait_for()


def test_an_engine_that_does_not_answer_is_said(page: Page, stage: Stage):
    stage.mark_unavailable("Envoy's admin interface does not answer.")
    page.get_by_role("alert").get_by_text("Envoy's admin interface does not answer.").wait_for()
    stage.show()
    page.get_by_role("alert").wait_for(state="hidden")


def test_a_name_is_a_text_whatever_is_in_it(chromium: Browser):
    name = "<img src=x onerror=alert(1)>__proto__"
    targets = tuple(replace(target, host=f"{target.host}'\"><b>") for target in PLAN.models[0].targets)
    stage = Stage(replace(PLAN, models=(replace(PLAN.models[0], name=name, targets=targets),)))
    with stage.served(), watched.opened(chromium, stage.url) as page:
        assert page.get_by_role("heading", level=2).first.inner_text() == name
        assert page.locator("main img, main b").count() == 0


def test_a_thousand_models_are_searched_and_drawn_a_few_at_a_time(chromium: Browser):
    model = PLAN.models[0]
    stage = Stage(replace(PLAN, models=tuple(replace(model, name=f"llama-{n}") for n in range(1000))))
    with stage.served(), watched.opened(chromium, stage.url) as page:
        page.get_by_text("1,000 of 1,000 models").wait_for()
        assert page.locator(".card").count() == 24
        assert page.locator(".card h2").all_inner_texts()[:3] == ["llama-0", "llama-1", "llama-2"]
        drawn = page.locator(".card .hosts:not(:empty)").count()
        assert 0 < drawn < 24
        page.get_by_role("button", name="Show 24 more (976 left)").click()
        assert page.locator(".card").count() == 48
        page.get_by_label("Search").fill("llama-99")
        page.get_by_text("11 of 1,000 models").wait_for()
        page.keyboard.press("Escape")
        stage.counters += requests("", 3, 503)
        stage.plan = replace(stage.plan, models=(*stage.plan.models, PLAN.models[0]))
        stage.show()
        stage.counters += requests("", 3, 503)
        stage.show()
        page.get_by_label("only what needs a look").check()
        page.get_by_text("1 of 1,001 models").wait_for()
        page.get_by_text("6 server errors").wait_for()


def test_a_model_that_goes_is_taken_away(page: Page, stage: Stage):
    page.get_by_role("heading", name=LLAMA).wait_for()
    stage.plan = build(
        {"llama-4-scout": {"shares": {"lab": 100}}},
        {"lab": {"kind": "openai", "url": "https://l/v1", "models": {"llama-4-scout": "s"}}},
    )
    stage.show()
    page.get_by_role("heading", name="llama-4-scout").wait_for()
    assert page.get_by_role("heading", name=LLAMA).count() == 0
