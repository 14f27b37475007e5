"""The tenants' table in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from corral.local.budgets import BudgetStatus
from tests.local.page.snapshots import PLAN, limited, requests, tokens
from tests.local.page.stage import Stage
from tests.local.page.test_tenants import OF_TENANTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser
watched = pytest.importorskip("tests.local.page.watched", reason="Playwright is not installed", exc_type=ImportError)

HEADS = [
    "Tenant",
    "Requests/s",
    "Tokens/s",
    "Cost/hour",
    "Under way",
    "Budget used",
    "Server errors",
    "Client errors",
    "Refused for a limit",
]


@pytest.fixture
def stage() -> Iterator[Stage]:
    on = Stage(OF_TENANTS)
    with on.served():
        on.counters += requests("deepinfra", 5, tenant="batch") + tokens("deepinfra", 1_000, 500, "batch")
        on.counters += requests("vllm", 5, tenant="search") + tokens("vllm", 1_000, 500, "search")
        on.active = {"batch": 2}
        on.observe()
        yield on


def region(page: Page) -> Locator:
    return page.get_by_role("region", name="Tenants")


def rows(page: Page) -> list[list[str]]:
    lines = region(page).get_by_role("row").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in lines]


def test_the_table_has_a_row_for_each_tenant_and_changes_with_what_is_counted(chromium: Browser, stage: Stage):
    with watched.opened(chromium, stage.url) as page:
        page.get_by_role("heading", name="Tenants").wait_for()
        assert rows(page) == [
            HEADS,
            ["batch", "5", "1,500", "$1.19", "2 of 3", "no budget", "0", "0", "none"],
            ["search", "5", "1,500", "unknown", "no limit", "no budget", "0", "0", "none"],
        ]
        stage.counters += limited("batch", "requests", 7) + limited("batch", "concurrent", 2)
        stage.counters += requests("", 3, 503, "search")
        stage.active = {"batch": 3}
        stage.budgets = [
            BudgetStatus("search", "day", 300_000_000, 12_340_000, refuses=True),
            BudgetStatus("search", "month", 4_000_000_000, 0, refuses=True),
        ]
        stage.show()
        page.get_by_text("⚠ requests a minute: 7, requests at once: 2").wait_for()
        cells = [[row[head] for head in (0, 4, 6, 7)] for row in rows(page)[1:]]
        assert cells == [["batch", "3 of 3", "0", "9"], ["search", "no limit", "3", "0"]]
        used = "$12.34 of $300.00 a day, $0.00 of $4,000.00 a month"
        assert [row[5] for row in rows(page)[1:]] == ["no budget", used]


def test_tenants_come_and_go_with_the_stack(chromium: Browser, stage: Stage):
    with watched.opened(chromium, stage.url) as page:
        region(page).wait_for()
        stage.plan = PLAN
        stage.show()
        region(page).wait_for(state="hidden")
        assert page.get_by_role("heading", name="Tenants").count() == 0
        stage.plan = OF_TENANTS
        stage.show()
        region(page).wait_for()
        assert [row[0] for row in rows(page)] == ["Tenant", "batch", "search"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_table_can_be_read_by_everybody(chromium: Browser, stage: Stage, scheme: Any):
    stage.counters += limited("batch", "tokens", 7)
    stage.observe()
    with watched.opened(chromium, stage.url, color_scheme=scheme) as page:
        page.get_by_text("⚠ tokens a minute: 7").wait_for()
        texts = {text: ratio for kind, text, ratio in page.evaluate(watched.CONTRAST) if kind == "text"}
        assert {"batch", "unknown", "no limit", "⚠ tokens a minute: 7"} <= texts.keys()
        assert {text: ratio for text, ratio in texts.items() if ratio < 4.5} == {}
        names = page.evaluate(watched.NAMES)
        assert (names["wanting"], names["lost"], names["cells"], names["twice"]) == ([], [], 0, [])
        page.keyboard.press("Tab")
        while not region(page).evaluate("table => table === document.activeElement"):
            assert page.evaluate("document.activeElement !== document.body"), "the table is never reached"
            page.keyboard.press("Tab")
        assert region(page).evaluate("table => getComputedStyle(table).outlineStyle") != "none"
