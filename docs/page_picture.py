"""Makes `docs/images/page-light.png` and `page-dark.png`: the live page of the stack `local`, with a move and a fault.

    .venv/bin/python -m docs.page_picture

It takes three minutes, and needs Playwright and a Chromium on PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from corral.local.state_folder import StateFolder

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
STACK = "local"
SIZE: ViewportSize = {"width": 1120, "height": 760}
MOVE = ("bedrock: 60, azure: 25, vllm: 15", "bedrock: 20, azure: 25, vllm: 55")
BEFORE_THE_MOVE, BEFORE_THE_FAULT, AFTER_IT = 60, 50, 40
"""Seconds."""


def picture(project: Path) -> None:
    """Serves the stack, moves a share, makes a host fail, and takes the pictures."""
    file = project / "stacks" / f"Pulumi.{STACK}.yaml"
    text = file.read_text()
    ports = "    kind: local\n    pagePort: 0\n"
    file.write_text(text.replace("    kind: local\n", ports))
    corral = [sys.executable, "-m", "corral.cli"]
    up = subprocess.Popen(
        [*corral, "serve", "--stack", STACK, "--port", "0", "--traffic", "--simulate"],
        cwd=project,
        stdout=subprocess.DEVNULL,
    )
    try:
        while (running := StateFolder.of(project, STACK).running()) is None:
            time.sleep(0.1)
        time.sleep(BEFORE_THE_MOVE)
        file.write_text(file.read_text().replace(*MOVE))
        time.sleep(BEFORE_THE_FAULT)
        subprocess.run([*corral, "fault", "azure", "503", "--for", "12s", "--stack", STACK], cwd=project, check=True)
        time.sleep(AFTER_IT)
        take(running.page_url)
    finally:
        up.terminate()
        up.wait()


def take(url: str) -> None:
    """The page in both themes."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(url)
            page.locator(".timeline .area").first.wait_for(state="attached")
            page.screenshot(path=IMAGES / f"page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "tests" / "stacks" / "examples", Path(folder) / "stacks")
        picture(Path(folder))
