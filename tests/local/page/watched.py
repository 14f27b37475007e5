"""The page in a browser, with everything a test must not see written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page


@contextmanager
def opened(browser: Browser, url: str, *, provoked: str = "", **context: Any) -> Iterator[Page]:
    """The page, live; afterwards nothing was complained of but what was `provoked`, and no other origin was asked."""
    complaints: list[str] = []
    urls: list[str] = []
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
    page.set_default_timeout(15_000)
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    try:
        page.goto(url)
        page.get_by_text("● live").wait_for()
        yield page
        assert [one for one in complaints if not provoked or provoked not in one] == []
        assert [one for one in urls if not one.startswith(url)] == []
    finally:
        page.context.close()


HERE = Path(__file__).parent
CONTRAST = HERE.joinpath("contrast.js").read_text()
NAMES = HERE.joinpath("names.js").read_text()
"""Functions to be evaluated in the page."""
