"""Makes the picture of the live table in the README: `python -m bench.live_table [FILE]`.

Serves a copy of the stack `local` with simulated hosts, sends requests, moves a share as the README says it, sends some
more, and records what `corral serve` shows.  The simulated hosts get a latency each, so that the columns of
milliseconds differ; everything else is counted by Envoy.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import httpx
from rich.console import Console

from corral.cli.project import load_servable
from corral.cli.tables import status_table
from corral.cli.terminal import Sheet
from corral.local.session import Options, Session, serving
from corral.local.source import Source
from corral.local.state_folder import StateFolder
from corral.plan.diff import shares_moved
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "live-table.svg"
STACK = "local"
PATIENCE = 15.0
"""Seconds; Envoy sums up durations every five."""
REQUESTS = {"llama-3.3-70b": 400, "llama-4-maverick": 150}
AT_ONCE = 8
LATENCY = {"bedrock": 21, "azure": 34, "vllm": 12, "deepinfra": 17, "together": 19}
"""Milliseconds until the first byte, made up."""
MOVE = (("bedrock: 60", "bedrock: 20"), ("vllm: 15", "vllm: 55"))
"""The edit that the README tells of."""


async def ask(url: str) -> None:
    """Sends the requests; raises if one fails."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=60) as client:

        async def one(model: str) -> None:
            async with gate:
                body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
                (await client.post(f"{url}/chat/completions", json=body)).raise_for_status()

        await asyncio.gather(*(one(model) for model, number in REQUESTS.items() for _ in range(number)))


def save(file: Path) -> None:
    """Moves the shares in the stack file."""
    text = file.read_text()
    for before, after in MOVE:
        assert text.count(before) == 1, f"{file} has no {before} any more"
        text = text.replace(before, after)
    file.write_text(text)


async def table(session: Session) -> Sheet:
    """The table, once every host that has answered has its durations."""
    async with asyncio.timeout(PATIENCE):
        while True:
            models = await session.status()
            if all(host.p50 is not None for model in models for host in model.hosts if host.requests):
                return status_table(models)
            await asyncio.sleep(0.1)


async def record(session: Session, file: Path, out: Console) -> None:
    """Shows the table, moves, and shows it again."""
    out.print(f"[bold]{STACK}[/] serves at [bold]http://127.0.0.1:8080/v1[/]; edit stacks/{file.name} to move traffic")
    moved: asyncio.Future[tuple[Plan, Plan]] = asyncio.get_running_loop().create_future()
    following = asyncio.create_task(session.follow(lambda before, after: moved.set_result((before, after))))
    await ask(session.url)
    out.print("", await table(session), "")
    save(file)
    out.print("\n".join(shares_moved(*await moved)), style="bold cyan", markup=False)
    await ask(session.url)
    out.print("", await table(session))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def make(project: Path, out: Console) -> None:
    """Serves the copy in `project` and records it; no key of the environment is used."""
    file = project / "stacks" / f"Pulumi.{STACK}.yaml"
    source = Source(project, file, lambda: load_servable(file), {})
    async with serving(source, Options(port=0), out.print) as session:
        running = StateFolder.of(project, STACK).running()
        assert running
        assert running.control_url
        assert running.control_token
        with closing(SimulatedControl(running.control_url, running.control_token)) as control:
            for host, latency in LATENCY.items():
                control.set_speed(host, latency=latency)
        await record(session, file, out)


def without_fonts_of_others(svg: str) -> str:
    """Rich's picture loads a font from a CDN; this one takes what the reader has."""
    local = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return local.replace("Fira Code", "ui-monospace").replace("arial;", "sans-serif;")


def main() -> None:
    picture = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PICTURE
    out = Console(record=True, width=150, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory(prefix="corral-picture-") as folder:
        project = Path(folder).resolve()
        shutil.copytree(ROOT / "tests" / "stacks" / "examples", project / "stacks")
        os.chdir(project)
        asyncio.run(make(project, out))
        os.chdir(ROOT)
    svg = without_fonts_of_others(out.export_svg(title=f"corral serve --stack {STACK}", unique_id="live-table"))
    picture.write_text(svg)
    print(f"wrote {picture}")


if __name__ == "__main__":
    main()
