"""The reference of the stack file says what the code says."""

from __future__ import annotations

import re

import pytest

from corral.catalog.load import load_catalog
from corral.config.schema import json_schema
from docs.stack_reference import FILE, reference


@pytest.fixture(scope="module")
def page() -> str:
    return reference(json_schema(load_catalog()))


def test_the_page_is_up_to_date(page: str):
    assert FILE.read_text() == page, "make it again: .venv/bin/python -m docs.stack_reference"


def test_every_key_of_the_schema_is_on_the_page_with_its_meaning(page: str):
    schema = json_schema(load_catalog())
    rows = {match[1]: match[2] for match in re.finditer(r"^\| `(\w+)` \|.*\| (.*) \|$", page, re.MULTILINE)}
    parts = [part for name, part in schema["$defs"].items() if name != "Host"]
    keys = {key for part in parts for key in part["properties"]}
    assert (set(rows), [key for key, meaning in rows.items() if not meaning]) == (keys, [])
    assert set(re.findall(r"^## (\S+)$", page, re.MULTILINE)) == set(schema["properties"]["config"]["properties"])


def test_every_link_on_the_page_leads_somewhere(page: str):
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


def test_defaults_are_written_as_in_a_stack(page: str):
    rows = {line.split(" | ")[0]: line.split(" | ")[2] for line in page.splitlines() if line.startswith("| `")}
    assert {key: rows[f"| `{key}`"] for key in ("idleTimeout", "disk", "port", "shares", "fallback")} == {
        "idleTimeout": "`10m`",
        "disk": "`500Gi`",
        "port": "`8080`",
        "shares": "required",
        "fallback": "–",
    }
