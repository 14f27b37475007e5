"""`corral up`: serves a stack on this machine, and follows its file."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from components.cli.project import StackOption, load_servable, root, stack_file
from components.cli.tables import findings_text, status_table
from components.cli.terminal import lossy_console
from components.embedded.errors import EngineError
from components.embedded.session import Options, Say, Session, Source, serving
from components.plan.moves import shares_moved
from components.plan.plan import Plan

_REFRESH = 0.5


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise typer.BadParameter(f"{text} is not an IP address like 127.0.0.1 or 0.0.0.0") from None


def up(
    stack: StackOption = "local",
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate every host, also those there is a key for.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            parser=_address, metavar="ADDRESS", help="The address to listen on, instead of the stack's (loopback)."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port, instead of the stack's; 0: a free one.")
    ] = None,
) -> None:
    """Serve a stack on this machine: Envoy, simulated hosts where they are wanted, and a live table.

    Edit the stack file and save: shares, hosts, models and keys change at once, and no request is lost.
    Ctrl-C ends it.
    """
    out = lossy_console()
    options = Options("always" if simulate else None, address, port)

    def say(message: str) -> None:
        out.print(message, style="yellow", markup=False, soft_wrap=True)

    file = stack_file(stack).resolve()
    source = Source(root(), file, lambda: load_servable(stack), os.environ)
    asyncio.run(_until_told(_serve(source, options, say, out)))
    out.print("Stopped.")


async def _until_told(serve: Coroutine[None, None, None]) -> None:
    """Runs until a signal asks for the end; then ends it in order."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    work, asked = asyncio.create_task(serve), asyncio.create_task(told.wait())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if told.is_set():
        work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def _serve(source: Source, options: Options, say: Say, out: Console) -> None:
    async with serving(source, options, say) as session:
        _introduce(session, out)
        with Live(console=out, auto_refresh=False) as live:
            showing = asyncio.create_task(_show(session, live, out.is_terminal))
            try:
                await session.follow(lambda before, after: _moved(before, after, out))
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


def _introduce(session: Session, out: Console) -> None:
    loaded = session.desired.loaded
    model = loaded.plan.models[0].name
    out.print(
        f"[bold]{loaded.plan.stack}[/] serves at [bold]{session.url}[/]; "
        f"edit {loaded.file} to move traffic, Ctrl-C to end."
    )
    out.print(
        f"  curl {session.url}/chat/completions -H 'content-type: application/json' "
        f"""-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}'\n""",
        markup=False,
        soft_wrap=True,
        style="dim",
    )
    if session.open_to_others:
        out.print(
            f"Other machines can reach {session.url}, and callers are not authenticated: "
            "whoever reaches it spends your keys.\n",
            style="bold red",
        )
    if loaded.tenants:
        out.print(
            "corral:tenants is not enforced by the embedded engine: callers need no key here.\n", style="bold red"
        )
    warnings = [finding for finding in loaded.findings if finding.level == "warning" and not finding.accepted]
    if warnings:
        out.print(findings_text(warnings), soft_wrap=True)


def _moved(before: Plan, after: Plan, out: Console) -> None:
    moves = shares_moved(before, after)
    out.print(
        "\n".join(moves) if moves else "The stack file is in force; no share has changed.",
        style="bold cyan",
        markup=False,
    )


async def _show(session: Session, live: Live, terminal: bool) -> None:
    """Keeps the table fresh; without a terminal there is none, and only what is to be said is said."""
    while True:
        try:
            shown: RenderableType = status_table(await session.status())
        except EngineError as reason:
            shown = Text(str(reason), style="red")
        if terminal:
            live.update(Group(Text(""), shown), refresh=True)
        await asyncio.sleep(_REFRESH)
